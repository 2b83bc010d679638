"""The whole slide, small: read in blocks of bounded size from its best level, whatever pyramid it has."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from data.errors import ChainError, ExitCode
from data.pixels.bad_patch import BadPatch
from data.wsi.handles import HANDLES, Handles
from data.wsi.pixels import read_rgb
from data.wsi.plan import MOST_READ_PX
from data.wsi.slide import SlideInfo

LONGEST_PX = 4096
_BLOCK_READ_PX = 2048  # pixels of the level read at once
_SMALLEST_PX = 8  # of the thumbnail: around damage blocks are divided down to this
_MOST_FAILURES = 200  # each opens the slide anew: after so many, what fails is no longer divided


@dataclass(frozen=True)
class Thumbnail:
    """pixels: (H, W, 3) uint8 RGB; unread: (H, W) bool, could not be read (background there); downsample: level-0
    pixels a thumbnail pixel, (x, y); mpp: microns a thumbnail pixel.
    """

    pixels: np.ndarray
    unread: np.ndarray
    downsample: tuple[float, float]
    mpp: float

    def coarser(self, mpp: float) -> "Thumbnail":
        """The same at `mpp`, where that is coarser. A pixel of it is unread where any part is."""
        if mpp <= self.mpp:
            return self
        height, width = self.pixels.shape[:2]
        size = tuple(max(1, round(side * self.mpp / mpp)) for side in (width, height))
        shrunk = np.asarray(cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA))
        unread = cv2.resize(self.unread.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
        by = (width / size[0], height / size[1])
        down = (self.downsample[0] * by[0], self.downsample[1] * by[1])
        return Thumbnail(shrunk, unread, down, self.mpp * math.sqrt(by[0] * by[1]))


def read_thumbnail(
    info: SlideInfo,
    mpp: float,
    alive: Callable[[], None] = lambda: None,
    handles: Handles = HANDLES,
    longest_px: int = LONGEST_PX,
) -> Thumbnail:
    """The slide at `mpp`, or coarser where it would be longer than longest_px, never enlarged.

    alive: called after each block. Raises ChainError (65) when nothing of the slide can be read, or a level is
    lacking without which the blocks would take too much memory.
    """
    width0, height0 = info.size_px
    wanted = max(mpp / info.mpp, max(info.size_px) / longest_px, 1.0)
    width, height = (max(1, round(side / wanted)) for side in info.size_px)
    down = (width0 / width, height0 / height)
    level = max(n for n, factor in enumerate(info.downsamples) if n == 0 or factor <= wanted * (1 + 1e-9))
    per_px = wanted / info.downsamples[level]  # pixels of the level a thumbnail pixel
    if per_px > _BLOCK_READ_PX:
        raise ChainError(
            f"{info.path.name} has {width0:,} x {height0:,} pixels and no small level",
            "its thumbnail cannot be made in bounded memory",
            "copy it again from its origin, or convert it to a pyramid",
            ExitCode.BAD_DATA,
        )
    block = max(1, int(_BLOCK_READ_PX / per_px))
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = info.background
    unread = np.zeros((height, width), bool)
    todo = [
        (x, y, min(block, width - x), min(block, height - y))
        for y in reversed(range(0, height, block))
        for x in reversed(range(0, width, block))
    ]
    failures = 0
    while todo:
        x, y, w, h = todo.pop()
        try:
            pixels[y : y + h, x : x + w] = _block(info, handles, level, down, (x, y, w, h))
        except BadPatch:
            failures += 1
            if max(w, h) > _SMALLEST_PX and failures < _MOST_FAILURES:
                todo.extend(_halves(x, y, w, h))
            else:
                unread[y : y + h, x : x + w] = True
        alive()
    if unread.all():
        raise ChainError(f"{info.path.name} cannot be read", "not one part of it gives pixels",
                         "copy it again from its origin, or leave it out (prepare.pattern)",
                         ExitCode.BAD_DATA)  # fmt: skip
    return Thumbnail(pixels, unread, down, info.mpp * math.sqrt(down[0] * down[1]))


def _block(
    info: SlideInfo, handles: Handles, level: int, down: tuple[float, float], place: tuple[int, int, int, int]
) -> np.ndarray:
    """(h, w, 3): one rectangle (x, y, w, h) of the thumbnail. Raises BadPatch."""
    x, y, w, h = place
    factor, size = info.downsamples[level], info.level_sizes_px[level]
    left, top = (math.floor(at * by / factor) for at, by in zip((x, y), down, strict=True))
    right, bottom = (math.ceil(at * by / factor) for at, by in zip((x + w, y + h), down, strict=True))
    right, bottom = min(right, size[0]), min(bottom, size[1])
    left, top = min(left, right - 1), min(top, bottom - 1)
    at0 = (round(left * factor), round(top * factor))
    across, along = min(right - left, MOST_READ_PX), min(bottom - top, MOST_READ_PX)
    found = handles.read(info.path, lambda handle: read_rgb(handle, level, *at0, across, along, info.background))
    return np.asarray(cv2.resize(found, (w, h), interpolation=cv2.INTER_AREA)).reshape(h, w, 3)


def _halves(x: int, y: int, w: int, h: int) -> list[tuple[int, int, int, int]]:
    if w >= h:
        return [(x + w // 2, y, w - w // 2, h), (x, y, w // 2, h)]
    return [(x, y + h // 2, w, h - h // 2), (x, y, w, h // 2)]
