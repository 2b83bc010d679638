"""What a selection found, in words: for its summary line and for `inspect`, which must start at once."""

from collections.abc import Iterable, Mapping, Sequence

DIGITS = len("sha256:") + 12


def temperature_said(temperature: float, by_class: Sequence[float] | None) -> str:
    """The one temperature of all patches, or from which to which those of the classes go."""
    if not by_class:
        return f"{temperature:.2f}"
    return f"{min(by_class):.2f} to {max(by_class):.2f} by class"


def licences_said(licences: Iterable[Mapping[str, str | None]]) -> str:
    """Those of quality.json: `apache-2.0 (timm/resnet50.a1_in1k), not stated (sha256:0123456789ab)`."""
    found = []
    for one in licences:
        weights = str(one["weights"])
        short = weights[:DIGITS] if weights.startswith("sha256:") else weights
        found.append(f"{one['licence'] or 'not stated'} ({short})")
    return ", ".join(found)
