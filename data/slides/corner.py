"""From which corner GeoJSON counts: that of the slide's plane, or that of what was scanned.

OpenSlide's plane of a MIRAX or Leica SCN slide is the whole area that could be scanned; `openslide.bounds-x` and its
like say where in it something was. QuPath shows, and counts from, that part alone (OpenslideImageServer, since 0.2;
`--no-crop` turns it off). Read in the plane, its regions would label tissue thousands of pixels away.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely

from data.errors import ChainError, ExitCode
from data.slides.regions import Region

# a brush may leave the edge by a little; a wrong level or slide leaves it by a lot
OVERHANG = 0.01


def counted_from(
    path: Path,
    slide: str,
    regions: Sequence[Region],
    size_px: tuple[int, int],
    scanned_px: tuple[int, int, int, int] | None,
) -> tuple[int, int]:
    """The level-0 place (x, y) of the corner that the regions of one GeoJSON file count from.

    size_px: (width, height) of the slide's plane; scanned_px: (x, y, width, height) of what was scanned, None: all.
    Where the corners differ, QuPath's files count from what was scanned if they fit there, else from the plane; others
    from that of the two in which alone they make sense. Raises ChainError (65) when that is not known.
    """
    if scanned_px is None or not any(scanned_px[:2]) or not regions:
        return 0, 0
    x, y, width, height = scanned_px
    left, top, right, bottom = shapely.total_bounds(np.array([region.shape for region in regions], object))
    qupath = any(region.qupath for region in regions)
    spare_x, spare_y = OVERHANG * width, OVERHANG * height

    def within(x0: int, y0: int) -> bool:
        return bool(
            left >= x0 - spare_x
            and top >= y0 - spare_y
            and right <= x0 + width + spare_x
            and bottom <= y0 + height + spare_y
        )

    touches = right > x and bottom > y and left < x + width and top < y + height
    if within(0, 0) and (qupath or not touches):
        return x, y
    if within(x, y) if qupath else not within(0, 0):
        return 0, 0
    reach = f"its regions reach x {left:,.0f} to {right:,.0f}, y {top:,.0f} to {bottom:,.0f}"
    where = f"of {slide}, {size_px[0]:,} x {size_px[1]:,} px, {width:,} x {height:,} from x {x:,}, y {y:,} were scanned"
    if qupath:
        raise ChainError(
            f"{path} fits neither what was scanned nor its place in the slide", f"{reach}; {where}",
            "is it of this slide? Export its annotations again, as objects of the whole image", ExitCode.BAD_DATA,
        )  # fmt: skip
    raise ChainError(
        f"{path} does not say from which corner it counts", f"{where}; {reach}, which may be either's",
        f"count from what was scanned (less {x:,} and {y:,}), as QuPath does, and give each feature the property "
        'objectType: "annotation", as QuPath does; or export it from QuPath', ExitCode.BAD_DATA,
    )  # fmt: skip


def moved(regions: Sequence[Region], by_px: tuple[int, int]) -> list[Region]:
    """The regions by so many pixels further right and down."""
    if not any(by_px):
        return list(regions)
    return [replace(one, shape=shapely.transform(one.shape, lambda at: at + by_px)) for one in regions]
