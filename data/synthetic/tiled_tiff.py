"""Write pyramidal tiled JPEG TIFF: the plainest file that OpenSlide takes for a slide (generic-tiled-tiff).

Streamed by rows of tiles, so a slide larger than memory can be written; equal pixels give equal bytes. Written by hand
because tifffile takes JPEG tiles, already encoded ones too, only where the large package imagecodecs is installed.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import simplejpeg

_SUBSAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}
_SHORT, _LONG, _RATIONAL = 3, 4, 5
_STRUCT = {_SHORT: "H", _LONG: "I", _RATIONAL: "I"}
_UM_PER_CM = 10_000
_NO_UNIT, _CENTIMETRE = 1, 3

Tag = tuple[int, int, list[int]]  # number, type, values (of a rational: numerator, denominator)


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a pyramid. `strip(top_px, height_px) -> (height_px, width_px, 3) uint8` is asked from the top down.

    Its strips are `tile_px` high, the last one what is left.
    """

    width_px: int
    height_px: int
    strip: Callable[[int, int], np.ndarray]


def write_tiled_tiff(
    path: Path,
    levels: list[np.ndarray],
    mpp: float | None,
    tile_px: int = 256,
    quality: int = 90,
    subsampling: str = "444",
) -> None:
    """Write `levels`, arrays (H, W, 3) uint8 RGB with the largest first, as one slide at `path`.

    `mpp` is micrometres per pixel of the first level; None writes none. `tile_px` is a multiple of 16.
    `subsampling` of the JPEG's colours: "444", "422" or "420". Raises OSError when it cannot be written.
    """
    strips = [Level(level.shape[1], level.shape[0], _rows_of(level)) for level in levels]
    stream_tiled_tiff(path, strips, mpp, tile_px, quality, subsampling)


def stream_tiled_tiff(
    path: Path,
    levels: Iterable[Level],
    mpp: float | None,
    tile_px: int = 256,
    quality: int = 90,
    subsampling: str = "444",
) -> None:
    """As `write_tiled_tiff`, of levels that are drawn strip by strip while they are written, one level at a time."""
    first_width = 0
    with path.open("wb") as file:
        file.write(b"II*\0" + bytes(4))
        link = 4  # where the offset of the next directory goes
        for level in levels:
            first_width = first_width or level.width_px
            offsets, counts = [], []
            for tile in _tiles(level, tile_px, quality, subsampling):
                offsets.append(file.tell())
                counts.append(len(tile))
                file.write(tile)
            tags: list[Tag] = [
                (254, _LONG, [int(level.width_px != first_width)]),  # a reduced image: OpenSlide takes it for a level
                (256, _LONG, [level.width_px]),
                (257, _LONG, [level.height_px]),
                (258, _SHORT, [8, 8, 8]),
                (259, _SHORT, [7]),  # JPEG
                (262, _SHORT, [6]),  # YCbCr
                (277, _SHORT, [3]),
                *_resolution(mpp, first_width / level.width_px),
                (322, _LONG, [tile_px]),
                (323, _LONG, [tile_px]),
                (324, _LONG, offsets),
                (325, _LONG, counts),
                (530, _SHORT, list(_SUBSAMPLING[subsampling])),
            ]
            link = _write_directory(file, link, tags)


def halved(strip: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H / 2, W / 2, 3) by the mean of each four pixels; an odd last row or column is dropped."""
    height, width = strip.shape[0] // 2, strip.shape[1] // 2
    return np.asarray(cv2.resize(strip[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA))


def pyramid(pixels: np.ndarray, count: int) -> list[np.ndarray]:
    """`count` levels of `pixels` (H, W, 3), each half as wide and high as the one before."""
    levels = [pixels]
    while len(levels) < count:
        levels.append(halved(levels[-1]))
    return levels


def _rows_of(level: np.ndarray) -> Callable[[int, int], np.ndarray]:
    return lambda top, height: level[top : top + height]


def _tiles(level: Level, tile_px: int, quality: int, subsampling: str) -> Iterator[bytes]:
    for top in range(0, level.height_px, tile_px):
        strip = level.strip(top, min(tile_px, level.height_px - top))
        # tiles reach over the edge: filled with the pixels of the edge, as scanners do
        strip = np.pad(strip, ((0, tile_px - len(strip)), (0, -level.width_px % tile_px), (0, 0)), mode="edge")
        for left in range(0, level.width_px, tile_px):
            tile = np.ascontiguousarray(strip[:, left : left + tile_px])
            yield simplejpeg.encode_jpeg(tile, quality, colorspace="RGB", colorsubsampling=subsampling)


def _resolution(mpp: float | None, downsample: float) -> list[Tag]:
    if mpp is None:
        return [(296, _SHORT, [_NO_UNIT])]
    scale = 10_000
    per_cm = [round(scale * _UM_PER_CM / (mpp * downsample)), scale]
    return [(282, _RATIONAL, per_cm), (283, _RATIONAL, per_cm), (296, _SHORT, [_CENTIMETRE])]


def _write_directory(file: BinaryIO, link: int, tags: list[Tag]) -> int:
    """Write a directory at the end of the file and its offset at `link`; returns where the next one's offset goes.

    Raises OverflowError beyond the 4 GiB of a classic TIFF.
    """
    at = file.seek(0, 2) + file.tell() % 2
    if at >> 32:
        raise OverflowError("a classic TIFF ends at 4 GiB")
    beyond = at + 2 + 12 * len(tags) + 4  # values of more than four bytes stand behind the entries
    entries, values = b"", b""
    for number, kind, numbers in tags:
        packed = struct.pack(f"<{len(numbers)}{_STRUCT[kind]}", *numbers)
        count = len(numbers) // 2 if kind == _RATIONAL else len(numbers)
        if len(packed) <= 4:
            field = packed.ljust(4, b"\0")
        else:
            field = struct.pack("<I", beyond + len(values))
            values += packed + bytes(len(packed) % 2)
        entries += struct.pack("<HHI", number, kind, count) + field
    file.seek(at)
    file.write(struct.pack("<H", len(tags)) + entries + bytes(4) + values)
    file.seek(link)
    file.write(struct.pack("<I", at))
    file.seek(0, 2)
    return at + 2 + 12 * len(tags)
