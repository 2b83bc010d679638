"""What a selection found, in words: for its summary line and for `inspect`, which must start at once."""

from collections.abc import Iterable, Mapping, Sequence

DIGITS = len("sha256:") + 12


def temperature_said(temperature: float, by_class: Sequence[float] | None) -> str:
    """The one temperature of all patches, or from which to which those of the classes go."""
    if not by_class:
        return f"{temperature:.2f}"
    return f"{min(by_class):.2f} to {max(by_class):.2f} by class"


def limit_said(temperature: float, lowest: bool, validated: bool) -> str:
    """That the temperature is as low or as high as it goes. validated: validation says so, not the given labels."""
    who = "validation says" if validated else "the given labels say"
    if lowest:
        return (
            f"the temperature is as low as it goes, {temperature:g}: {who} that this teacher is right far more often "
            "than it claims to be sure"
        )
    return (
        f"the temperature is at its limit of {temperature:g}: {who} that this teacher's confidence has little to do "
        "with being right"
    )


def licences_said(licences: Iterable[Mapping[str, str | None]]) -> str:
    """Those of quality.json: `apache-2.0 (timm/resnet50.a1_in1k), not stated (sha256:0123456789ab)`."""
    found = []
    for one in licences:
        weights = str(one["weights"])
        short = weights[:DIGITS] if weights.startswith("sha256:") else weights
        found.append(f"{one['licence'] or 'not stated'} ({short})")
    return ", ".join(found)


def percent(share: float) -> str:
    """A share for people: "0.4 %", "12 %"."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def not_as_labelled(classes: Sequence[str], shares: Sequence[float], among: Sequence[float]) -> str:
    """That the pool holds other shares of the classes than the labels, (C,) each."""
    each = ", ".join(
        f"{name} {percent(share)} (of the labels {percent(own)})"
        for name, share, own in zip(classes, shares, among, strict=True)
    )
    return f"the pool does not hold the classes as the labels do, and is taken to hold {each}"


def of_few_groups(unit: str, groups: int, elsewhere: float) -> str:
    """That labels cannot say how often most of the pool is told right.

    unit: patient or slide; groups: how many of them have labels; elsewhere: share of the pool that is of others.
    """
    return (
        f"labels are of {groups} {unit}{'s' * (groups > 1)}, and {percent(elsewhere)} of the pool is of others: how "
        f"often these are told right, so few cannot say; labels of more {unit}s would, or some that validate"
    )


# of labels that no fold can leave out, where none validate
UNTOLD = (
    "labels are too few to be told by each other, and none validate: nothing says how often pseudo-labels are right, "
    "and confidence is the graph's own; two labels of each class, of two patients or slides, would"
)
