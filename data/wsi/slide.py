"""What a slide is: its size, its resolution, its levels. Refused by name where that is not certain."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import openslide

from data.errors import ChainError, ExitCode
from data.wsi.handles import open_slide

# microns per pixel a slide scanner can have, at level 0; TIFF files that say "72 dpi" have 353
LEAST_MPP, MOST_MPP = 0.02, 20.0
MOST_ANISOTROPY = 0.02  # pixels that are taller than wide by more than this share are not square
MOST_LEVELS, MOST_SIDE_PX = 64, 1 << 24
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class SlideInfo:
    """size_px: level-0 (width, height); mpp: microns per level-0 pixel, the geometric mean of x and y.

    mpp_from: `slide`, `table` or `missing_mpp`. level_sizes_px, downsamples: one a level, level 0 first, finest first.
    background: RGB where nothing was scanned. bounds_px: (x, y, width, height) of what was scanned
    in level-0 pixels, None: the slide does not say.
    """

    path: Path
    vendor: str
    size_px: tuple[int, int]
    mpp: float
    mpp_from: str
    level_sizes_px: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...]
    background: tuple[int, int, int] = WHITE
    bounds_px: tuple[int, int, int, int] | None = None
    objective: str = ""


def inspect(path: Path, stated_mpp: float | None = None, missing_mpp: float | None = None) -> SlideInfo:
    """Open a slide and read its headers.

    stated_mpp: what the slides table says of this slide: taken before the slide's own; missing_mpp: for a slide
    without one. Raises ChainError: 66 absent, 65 not a slide, damaged, absurd, without mpp or with unequal ones.
    """
    handle = open_slide(path)
    try:
        return describe(handle, path, stated_mpp, missing_mpp)
    except openslide.OpenSlideError as error:
        raise _refused(path, "cannot be read", str(error)[:160], "copy it again from its origin") from error
    finally:
        handle.close()


def describe(handle: openslide.OpenSlide, path: Path, stated_mpp: float | None, missing_mpp: float | None) -> SlideInfo:
    """The same of an open handle."""
    about = handle.properties
    sizes = tuple((int(w), int(h)) for w, h in handle.level_dimensions)
    downsamples = tuple(float(factor) for factor in handle.level_downsamples)
    _check_levels(path, sizes, downsamples)
    said = (about.get(openslide.PROPERTY_NAME_MPP_X), about.get(openslide.PROPERTY_NAME_MPP_Y))
    mpp, mpp_from = _resolution(path, *said, stated_mpp, missing_mpp)
    return SlideInfo(
        path,
        str(about.get(openslide.PROPERTY_NAME_VENDOR, "")),
        sizes[0],
        mpp,
        mpp_from,
        sizes,
        downsamples,
        background_of(about.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR)),
        _bounds(about),
        str(about.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER, ""))[:20],
    )


def background_of(text: str | None) -> tuple[int, int, int]:
    """RGB of OpenSlide's hexadecimal colour; white where a slide says nothing."""
    try:
        red, green, blue = bytes.fromhex(text or "ffffff")
    except ValueError:
        return WHITE
    return red, green, blue


def _resolution(
    path: Path, x_text: str | None, y_text: str | None, stated: float | None, missing: float | None
) -> tuple[float, str]:
    if stated is not None:
        return stated, "table"
    x, y = _number(x_text), _number(y_text)
    if x is None or y is None:
        if missing is not None:
            return missing, "missing_mpp"
        raise _refused(
            path,
            "does not say how many microns a pixel is",
            "without them no patch of a stated resolution can be cut",
            "state it: prepare.missing_mpp: 0.25 for all such slides, or a column mpp in prepare.table for this one",
        )
    if not all(LEAST_MPP <= value <= MOST_MPP for value in (x, y)):
        raise _refused(
            path,
            f"says {x:g} x {y:g} microns a pixel",
            f"no scanner has these; from {LEAST_MPP:g} to {MOST_MPP:g} are believed",
            "state the true value in a column mpp of prepare.table",
        )
    if abs(x / y - 1) > MOST_ANISOTROPY:
        raise _refused(
            path,
            f"has pixels of {x:g} x {y:g} microns",
            f"they differ by more than {MOST_ANISOTROPY:.0%}: square patches of it would be distorted",
            "state one value in a column mpp of prepare.table if the header is wrong, or leave the slide out",
        )
    return math.sqrt(x * y), "slide"


def _number(text: str | None) -> float | None:
    """None: the slide does not say, or says nothing meaningful (a blank, zero, not a number)."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _check_levels(path: Path, sizes: tuple[tuple[int, int], ...], downsamples: tuple[float, ...]) -> None:
    absurd = (
        not 1 <= len(sizes) <= MOST_LEVELS
        or any(not 1 <= side <= MOST_SIDE_PX for size in sizes for side in size)
        or any(not math.isfinite(factor) or factor < 1 for factor in downsamples)
        or list(downsamples) != sorted(downsamples)
    )
    if absurd:
        shown = ", ".join(f"{w:,} x {h:,}" for w, h in sizes[:4])
        raise _refused(path, "is damaged", f"its header speaks of {len(sizes)} levels: {shown}",
                       "copy it again from its origin, or leave it out (prepare.pattern)")  # fmt: skip


def _bounds(about: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    try:
        x, y, w, h = (int(about[f"openslide.bounds-{name}"]) for name in ("x", "y", "width", "height"))
    except (KeyError, ValueError):
        return None
    # those of a MIRAX slide may begin before its plane or end beyond it: their corner is what others count from anyway
    sane = min(w, h) > 0 and max(map(abs, (x, y, w, h))) <= MOST_SIDE_PX
    return (x, y, w, h) if sane else None


def _refused(path: Path, what: str, why: str, todo: str) -> ChainError:
    return ChainError(f"{path.name} {what}", why, todo, ExitCode.BAD_DATA)
