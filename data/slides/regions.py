"""One annotated region of a slide, as its file says it, and how points become a valid shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

# mending an outline that crosses itself everywhere takes the square of its points
MOST_POINTS = 2_000_000
MOST_CROSSED = 20_000
# far beyond any slide: differences of such numbers are no longer areas
FARTHEST_PX = 1e8


@dataclass(frozen=True, slots=True)
class Region:
    """label: the class as written in the file, "" without one; shape: a shapely Polygon or MultiPolygon in level-0
    pixels, valid; place: "feature 3" or "line 12"; mended: whether its outline crossed itself; qupath: whether
    the file says that QuPath wrote it.
    """

    label: str
    shape: Any
    place: str
    mended: bool = False
    qupath: bool = False


def polygon(
    outline: Sequence[tuple[float, float]], holes: Sequence[Sequence[tuple[float, float]]] = ()
) -> tuple[Any, bool]:
    """A valid shapely Polygon or MultiPolygon (empty when it has no area), and whether it had to be mended.

    Raises ValueError, in words for the user: too few points, too many, too far out.
    """
    rings = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in (outline, *holes)]
    points = sum(map(len, rings))
    if min(map(len, rings)) < 3:
        raise ValueError(f"a ring has {min(map(len, rings))} points: it takes three")
    if points > MOST_POINTS:
        raise ValueError(f"it has {points:,} points; the most is {MOST_POINTS:,}")
    farthest = max(float(np.abs(ring).max()) for ring in rings)
    if not farthest <= FARTHEST_PX:
        raise ValueError(f"a coordinate is {farthest:g} pixels: no slide is that large")
    shape = shapely.Polygon(rings[0], rings[1:])
    mended = not shapely.is_valid(shape)
    if mended:
        if points > MOST_CROSSED:
            raise ValueError(f"its outline crosses itself and has {points:,} points: it is not mended")
        # each ring by itself: mended together, a hole that touches or crosses the outline, or another, becomes area
        shape, *hollow = (_areas(shapely.make_valid(shapely.Polygon(ring))) for ring in rings)
        shape = _areas(shapely.difference(shape, shapely.union_all(hollow)))
    return (shape if shape.area > 0 else shapely.Polygon()), mended


def _areas(shape: Any) -> Any:
    # mending and cutting may leave lines and points beside areas
    areas = [part for part in shapely.get_parts(shapely.get_parts(shape)) if part.geom_type == "Polygon"]
    return shapely.union_all(areas)
