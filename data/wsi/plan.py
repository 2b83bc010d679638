"""From a stated resolution to what is read: which level, how much of it, and by what it is shrunk."""

import math
from dataclasses import dataclass

from data.errors import ChainError, ExitCode
from data.wsi.slide import SlideInfo

# pixels a side of what is read for one patch: beyond it a patch would need gigabytes, whatever the header says
MOST_READ_PX = 8192
_ROUNDING_PX = 1e-6


@dataclass(frozen=True)
class ReadPlan:
    """How every patch of a slide is read.

    level, downsample: of the pyramid; read_px: side of the square read there; scale: its pixels a pixel of the patch
    (1.0: pixels are taken as they are); size_px: side of the patch; side_px: the same in level-0 pixels, exactly;
    mpp: of the patch as it is really read.
    """

    level: int
    downsample: float
    read_px: int
    scale: float
    size_px: int
    side_px: float
    mpp: float


def plan_reading(
    info: SlideInfo, mpp: float, size_px: int, tolerance: float = 0.01, allow_upsampling: bool = False
) -> ReadPlan:
    """The coarsest level that is not coarser than `mpp`, by more than the share `tolerance`.

    Within the tolerance pixels are taken as they are, and the patch has the level's own mpp. Raises ChainError (78)
    when the slide is coarser than asked, or when a patch would need more than MOST_READ_PX pixels a side.
    """
    level = best_level(info, mpp, tolerance)
    if level is None:
        if not allow_upsampling:
            raise ChainError(
                f"{info.path.name} has {info.mpp:.4g} microns a pixel, coarser than the {mpp:g} asked for",
                "enlarged pixels look like a finer slide, and are none",
                f"ask for prepare.mpp: {_rounded_up(info.mpp)}, leave the slide out, or set "
                "prepare.allow_upsampling: true",
                ExitCode.MISMATCH,
            )
        level = 0
    downsample = info.downsamples[level]
    of_level = info.mpp * downsample
    if abs(of_level / mpp - 1) <= tolerance:
        return ReadPlan(level, downsample, size_px, 1.0, size_px, size_px * downsample, of_level)
    scale = mpp / of_level
    read_px = math.ceil(size_px * scale - _ROUNDING_PX)
    if read_px > MOST_READ_PX:
        raise ChainError(
            f"{info.path.name}: a patch of {size_px:,} px at {mpp:g} um/px is {read_px:,} px of its best level",
            f"its {len(info.downsamples)} levels go down to {info.mpp * info.downsamples[-1]:.4g} um/px only; "
            f"at most {MOST_READ_PX:,} px a side are read for one patch",
            "choose smaller patches or a finer prepare.mpp, or give the slide a pyramid",
            ExitCode.MISMATCH,
        )
    return ReadPlan(level, downsample, read_px, scale, size_px, size_px * scale * downsample, mpp)


def best_level(info: SlideInfo, mpp: float, tolerance: float) -> int | None:
    """The coarsest level not coarser than mpp * (1 + tolerance); None: level 0 is coarser already."""
    fine = [n for n, factor in enumerate(info.downsamples) if info.mpp * factor <= mpp * (1 + tolerance)]
    return max(fine, default=None)


def _rounded_up(mpp: float) -> str:
    # what is proposed must be accepted: never finer than the slide
    return f"{math.ceil(mpp * 1000) / 1000:g}"
