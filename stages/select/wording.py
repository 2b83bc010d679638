"""What a selection found, in words: for its summary line and for `inspect`, which must start at once."""

from collections.abc import Sequence


def temperature_said(temperature: float, by_class: Sequence[float] | None) -> str:
    """The one temperature of all patches, or from which to which those of the classes go."""
    if not by_class:
        return f"{temperature:.2f}"
    return f"{min(by_class):.2f} to {max(by_class):.2f} by class"
