"""Pixels of a slide: one patch at a time, at the resolution a plan says, from any thread."""

import json
import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import openslide

from data.errors import ChainError, ExitCode
from data.files.atomic import canonical_json
from data.pixels.bad_patch import BadPatch
from data.pixels.damaged_reference import damaged_reference
from data.pixels.modes import MAX_SIZE_PX
from data.wsi.handles import HANDLES, Handles, Identity, brief, identity
from data.wsi.pixels import read_rgb
from data.wsi.plan import MOST_READ_PX, ReadPlan
from data.wsi.resample import resampled
from data.wsi.slide import background_of
from data.wsi.tiled_jpeg import CACHE_BYTES, TiledJpeg, open_tiled_jpeg

_EDGE_PX = 1e-6
# of slides that are read at random, in training: neighbours seldom follow each other, and slides are many
_REFERENCE_CACHE_BYTES = 4 << 20


class SlideReader:
    """One slide under one plan. Holds no handle itself: `handles` bounds them, and opens them anew after an error.

    fast: take the fast route where the slide allows it (same pixels); cache_bytes: of its decoded tiles.
    Raises ChainError (66, 65) when the slide cannot be opened.
    """

    def __init__(
        self, path: Path, plan: ReadPlan, handles: Handles = HANDLES, fast: bool = True, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.path, self.plan, self._handles = path, plan, handles
        about = handles.read(path, _About.of)
        self._about = about
        self._tiled = _tiled_jpeg(path, about, plan.level, handles, cache_bytes) if fast else None

    @property
    def route(self) -> str:
        """`tiles`: the slide's own JPEG tiles are decoded here; `openslide`: OpenSlide reads."""
        return "tiles" if self._tiled is not None else "openslide"

    def patch(self, x_px: int, y_px: int) -> np.ndarray:
        """(S, S, 3) uint8 RGB of the square whose level-0 top-left is x_px, y_px; unscanned parts are background.

        Raises BadPatch when it cannot be read or does not lie within the slide. Do not write to it.
        """
        plan = self.plan
        self._check_inside(x_px, y_px)
        return resampled(self._square(*self._moved_in(x_px, y_px)), plan.scale, plan.size_px)

    def jpeg(self, x_px: int, y_px: int) -> bytes | None:
        """The slide's own JPEG file of the patch, where the patch is exactly one of its tiles; else None."""
        at = self._on_level(x_px, y_px)
        if self._tiled is None or at is None or self.plan.scale != 1.0:
            return None
        return self._tiled.jpeg(self.plan.level, *at, self.plan.size_px)

    def reference(self, x_px: int, y_px: int) -> bytes:
        """What `read_reference` reads this patch again by: canonical JSON."""
        plan = self.plan
        return canonical_json(
            {"slide": str(self.path), "x_px": x_px, "y_px": y_px, "level": plan.level, "read_px": plan.read_px,
             "scale": plan.scale, "size_px": plan.size_px}
        )  # fmt: skip

    def _square(self, x_px: int, y_px: int) -> np.ndarray:
        plan, at = self.plan, self._on_level(x_px, y_px)
        if self._tiled is not None and at is not None:
            pixels = self._tiled.region(plan.level, *at, plan.read_px, plan.read_px)
            if pixels is not None:
                return pixels
        return self._handles.read(
            self.path, lambda handle: read_rgb(handle, plan.level, x_px, y_px, plan.read_px, plan.read_px,
                                               self._about.background)
        )  # fmt: skip

    def _check_inside(self, x_px: int, y_px: int) -> None:
        width, height = self._about.sizes[0]
        # less than a pixel of a coarse level is no reason: the square is moved in by as much
        slack = self.plan.downsample if self.plan.level else _EDGE_PX
        side = math.ceil(self.plan.side_px - slack)
        if x_px < 0 or y_px < 0 or x_px + side > width or y_px + side > height:
            raise BadPatch(f"{side} px at ({x_px}, {y_px}) reach beyond the slide of {width} x {height} px")

    def _moved_in(self, x_px: int, y_px: int) -> tuple[int, int]:
        """A coarse level may end up to a pixel before the slide does: there the square is moved in by that much."""
        plan = self.plan
        if plan.level == 0:
            return x_px, y_px
        level = self._about.sizes[plan.level]
        last = [max(0, math.floor((side - plan.read_px) * plan.downsample)) for side in level]
        return min(x_px, last[0]), min(y_px, last[1])

    def _on_level(self, x_px: int, y_px: int) -> tuple[int, int] | None:
        """The same in whole pixels of the level, where they are whole."""
        factor = round(self.plan.downsample)
        if factor != self.plan.downsample or x_px % factor or y_px % factor:
            return None
        return x_px // factor, y_px // factor


def read_reference(payload: bytes) -> np.ndarray:
    """(S, S, 3) uint8 RGB of what `SlideReader.reference` wrote, read from its slide now.

    Raises ChainError (66 the slide is gone, 76 the reference is damaged), BadPatch when it cannot be read.
    """
    slide, x_px, y_px, *how = _parsed(payload)
    try:
        return _reader(identity(Path(slide)), *how, os.getpid()).patch(x_px, y_px)
    except ChainError as error:
        raise ChainError(
            f"{slide}: {error.what.removeprefix(Path(slide).name).lstrip()}; patches lie in it (encoding: reference)",
            error.why,
            "put the slide back, or prepare again: where it lies now, or with encoding: jpeg, which copies the pixels",
            error.code,
        ) from error


class _About:
    """What reading needs to know of a slide, resolution apart."""

    def __init__(self, vendor: str, sizes: tuple[tuple[int, int], ...], downsamples: tuple[float, ...],
                 background: tuple[int, int, int]) -> None:  # fmt: skip
        self.vendor, self.sizes, self.downsamples, self.background = vendor, sizes, downsamples, background

    @staticmethod
    def of(handle: openslide.OpenSlide) -> "_About":
        about = handle.properties
        return _About(
            str(about.get(openslide.PROPERTY_NAME_VENDOR, "")),
            tuple((int(w), int(h)) for w, h in handle.level_dimensions),
            tuple(float(factor) for factor in handle.level_downsamples),
            background_of(about.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR)),
        )


def _tiled_jpeg(path: Path, about: _About, level: int, handles: Handles, cache_bytes: int) -> TiledJpeg | None:
    factor = about.downsamples[level]
    if factor != round(factor):
        return None  # OpenSlide interpolates there
    tiled = open_tiled_jpeg(path, about.sizes, about.vendor, cache_bytes)

    def theirs(x: int, y: int, width: int, height: int) -> np.ndarray:
        place = (x * int(factor), y * int(factor))
        return handles.read(path, lambda handle: read_rgb(handle, level, *place, width, height, about.background))

    return tiled if tiled is not None and tiled.check(level, theirs) else None


def _parsed(payload: bytes) -> tuple[Any, ...]:
    """The values of a reference, checked: a file may hold anything."""
    try:
        said = json.loads(payload)
        whole = [said[name] for name in ("x_px", "y_px", "level", "read_px", "size_px")]
        slide, scale = said["slide"], float(said["scale"])
        good = (
            isinstance(slide, str)
            and "\0" not in slide
            and all(type(value) is int and 0 <= value < 1 << 31 for value in whole)
            and 1 <= whole[3] <= MOST_READ_PX
            and 1 <= whole[4] <= MAX_SIZE_PX
            and math.isclose(whole[3], whole[4] * scale, abs_tol=1.001)
        )
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise damaged_reference("a slide", brief(error), "prepare the slide again") from error
    if not good:
        raise damaged_reference("a slide", "its numbers are none of a patch", "prepare the slide again")
    x_px, y_px, level, read_px, size_px = whole
    return slide, x_px, y_px, level, read_px, scale, size_px


@lru_cache(maxsize=64)
def _reader(file: Identity, level: int, read_px: int, scale: float, size_px: int, process: int) -> SlideReader:
    # `process`: a forked child makes its own, whatever a lock in its parent's was doing
    path = Path(file.path)
    downsamples = HANDLES.read(path, _About.of).downsamples
    if level >= len(downsamples):
        raise ChainError(f"{path.name} has {len(downsamples)} levels, a patch lies on level {level}",
                         "it is not the slide that was prepared", "put that one back, or prepare this one",
                         ExitCode.MISMATCH)  # fmt: skip
    factor = downsamples[level]
    plan = ReadPlan(level, factor, read_px, scale, size_px, size_px * scale * factor, 0.0)
    return SlideReader(path, plan, cache_bytes=_REFERENCE_CACHE_BYTES)
