"""One annotated region of a slide, as its file says it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Region:
    """label: the class as written in the file, "" without one; shape: a shapely Polygon or MultiPolygon in level-0
    pixels, valid; place: "feature 3" or "line 12"; mended: whether its outline crossed itself.
    """

    label: str
    shape: Any
    place: str
    mended: bool = False
