"""The grid of patches on a slide: exact positions at a stated resolution, and the tissue under each."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from data.errors import ChainError, ExitCode
from data.section import Section

# a slide has some 10^5 patches; far beyond that the step is a slip of the pen, not a wish
MOST_PATCHES = 20_000_000
# side lengths are products of decimal resolutions: what is off a whole pixel by less is rounding
_ROUNDING_PX = 1e-6
_CHUNK = 1 << 20


class GridConfig(Section):
    """Where patches lie."""

    overlap_px: Annotated[
        int, Field(ge=0, description="pixels (at the stated resolution) that neighbouring patches share")
    ] = 0
    min_tissue: Annotated[
        float, Field(ge=0, le=1, description="a patch is kept when at least this share of it is tissue; 0: all are")
    ] = 0.5

    def stride_px(self, size_px: int) -> int:
        """Pixels from one patch to the next."""
        assert self.overlap_px < size_px, "refused with the configuration: patches would never move on"
        return size_px - self.overlap_px


@dataclass(frozen=True)
class Grid:
    """Patches in row-major order. xy_px: (N, 2) int64 level-0 top-left; tissue: (N,) float32 share in [0, 1]."""

    xy_px: np.ndarray
    tissue: np.ndarray


def side_px(size_px: int, mpp0: float, mpp: float) -> float:
    """Level-0 side of a patch of size_px pixels at mpp, on a slide of mpp0 microns per level-0 pixel."""
    return size_px * mpp / mpp0


def lay(
    slide_size_px: tuple[int, int],
    mpp0: float,
    mpp: float,
    size_px: int,
    stride_px: int,
    mask: np.ndarray,
    mask_downsample: float | tuple[float, float],
    min_tissue: float = 0.0,
) -> Grid:
    """Every patch of the grid that lies wholly within the slide and has enough tissue.

    slide_size_px: level-0 (width, height); mpp0: microns per level-0 pixel; mpp: of the patches, as they are really
    read; size_px, stride_px: at mpp; mask: (H, W) bool, tissue; mask_downsample: level-0 pixels a mask pixel (x, y).
    The i-th position is round(i * step) for the exact, possibly fractional level-0 step, so nothing drifts.
    Raises ChainError (78) for a grid of more than MOST_PATCHES.
    """
    side, step = side_px(size_px, mpp0, mpp), side_px(stride_px, mpp0, mpp)
    across, down = (_at_most(length, side, step) for length in slide_size_px)
    if across * down > MOST_PATCHES:
        raise ChainError(
            f"the grid has {across * down:,} patches",
            f"patches of {size_px} px every {stride_px} px at {mpp:g} um/px, on a slide of "
            f"{slide_size_px[0]:,} x {slide_size_px[1]:,} px at {mpp0:g} um/px; the most is {MOST_PATCHES:,}",
            "choose a coarser mpp, larger patches or less overlap",
            ExitCode.MISMATCH,
        )
    columns, rows = (positions(length, side, step) for length in slide_size_px)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    xy = np.stack([x.ravel(), y.ravel()], axis=1)
    tissue = tissue_shares(xy, side, mask, mask_downsample)
    kept = tissue >= min_tissue - _ROUNDING_PX
    return Grid(xy[kept], tissue[kept])


def positions(length_px: int, side: float, step: float) -> np.ndarray:
    """(N,) int64: round(i * step) as long as a patch of this side, rounded up to whole pixels, stays within length."""
    placed: np.ndarray = np.floor(np.arange(_at_most(length_px, side, step)) * step + 0.5).astype(np.int64)
    # a step of less than a pixel meets the same pixel twice
    return np.unique(placed[placed + math.ceil(side - _ROUNDING_PX) <= length_px])


def _at_most(length_px: int, side: float, step: float) -> int:
    # one more than surely fit: the division may be off by one at the edge
    assert side > 0
    assert step > 0
    last = length_px - math.ceil(side - _ROUNDING_PX)
    return math.floor(last / step) + 2 if last >= 0 else 0


def tissue_shares(
    xy_px: np.ndarray, side: float, mask: np.ndarray, mask_downsample: float | tuple[float, float]
) -> np.ndarray:
    """(N,) float32: the exact share of each square that lies on true mask pixels, by an integral image.

    xy_px: (N, 2) level-0 top-left; side: level-0 pixels; mask: (H, W) bool, each pixel a rectangle of mask_downsample
    level-0 pixels. What reaches beyond the mask counts as no tissue.
    """
    height, width = mask.shape
    integral = np.zeros((height + 1, width + 1), np.float64)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.float64), axis=1, out=integral[1:, 1:])
    per_px = np.broadcast_to(np.asarray(mask_downsample, np.float64), 2)
    area = float(np.prod(side / per_px))
    shares = np.empty(len(xy_px), np.float32)
    for start in range(0, len(xy_px), _CHUNK):
        low = xy_px[start : start + _CHUNK] / per_px
        high = (xy_px[start : start + _CHUNK] + side) / per_px
        inside = (
            _at(integral, high[:, 0], high[:, 1])
            - _at(integral, low[:, 0], high[:, 1])
            - _at(integral, high[:, 0], low[:, 1])
            + _at(integral, low[:, 0], low[:, 1])
        )
        shares[start : start + _CHUNK] = np.clip(inside / area, 0, 1)
    return shares


def _at(integral: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # within a mask pixel the integral is bilinear, so interpolating is exact
    x, y = np.clip(x, 0, integral.shape[1] - 1), np.clip(y, 0, integral.shape[0] - 1)
    left, top = (
        np.minimum(x.astype(np.int64), integral.shape[1] - 2),
        np.minimum(y.astype(np.int64), integral.shape[0] - 2),
    )
    right, below = x - left, y - top
    value: np.ndarray = (
        integral[top, left] * (1 - right) * (1 - below)
        + integral[top, left + 1] * right * (1 - below)
        + integral[top + 1, left] * (1 - right) * below
        + integral[top + 1, left + 1] * right * below
    )
    return value
