"""One patch as its source lists it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Record:
    """One patch as its source lists it. Empty strings mean unknown.

    `key` is the patch's place in the source (a relative POSIX path, or a row as text); with the
    source's name it makes the patch id. `split` is what the source itself says ("" if nothing).
    `numbers`: what was measured of it, e.g. its place in the slide (x_px, y_px) or its share of tissue.
    """

    key: str
    label: str = ""
    patient: str = ""
    slide: str = ""
    site: str = ""
    split: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
