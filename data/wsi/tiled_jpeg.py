"""The fast route: a plain tiled TIFF whose tiles are JPEG files (generic TIFF, Aperio), read past OpenSlide.

Pixels are those of OpenSlide, bit for bit: the tests prove it for every kind of file, and of each slide some tiles are
compared before the route is taken. Only positions on whole pixels of a level are served, where OpenSlide does not
interpolate. And it is stricter: OpenSlide gives noise for a tile whose JPEG data are damaged in the middle; here such
a tile is bad.
"""

import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
import tifffile

from data.pixels.bad_patch import BadPatch

CACHE_BYTES = 64 << 20  # decoded tiles of one slide, for patches that do not coincide with them
MOST_TILE_PX, MOST_TILE_BYTES, MOST_TILES = 2048, 16 << 20, 1 << 24
_SAMPLES = 8  # tiles compared with OpenSlide before the route is taken
_JPEG, _RGB, _YCBCR = 7, 2, 6
# "the three components are RGB as they are": what TIFF says in a tag, a JPEG file of its own says in a marker
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
# what tifffile raises on files it does not understand; OpenSlide, which has opened the file, then reads it alone
_TIFF_ERRORS = (tifffile.TiffFileError, OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError,
                struct.error, RuntimeError, AssertionError, MemoryError)  # fmt: skip


@dataclass(frozen=True)
class _Level:
    size_px: tuple[int, int]
    tile_px: tuple[int, int]
    offsets: np.ndarray  # (T,) int64, row by row; lengths likewise
    lengths: np.ndarray
    before: bytes  # what turns a tile into a JPEG file: start mark, tables, colours

    @property
    def columns(self) -> int:
        return -(-self.size_px[0] // self.tile_px[0])


class TiledJpeg:
    """Tiles of one slide. Safe for threads, and in a forked child (positioned reads only)."""

    def __init__(self, path: Path, levels: tuple[_Level | None, ...], cache_bytes: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._levels = levels
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._cached, self._cache_bytes = 0, cache_bytes

    def serves(self, level: int) -> bool:
        """Whether this level is made of tiles it can read."""
        return self._levels[level] is not None

    def region(self, level: int, x: int, y: int, width: int, height: int) -> np.ndarray | None:
        """(height, width, 3) uint8 RGB; x, y in pixels of the level. None: read it by OpenSlide.

        Raises BadPatch where a tile is damaged. The array may be shared: not to be written to.
        """
        at = self._levels[level]
        if at is None or x < 0 or y < 0 or x + width > at.size_px[0] or y + height > at.size_px[1]:
            return None
        across, down = at.tile_px
        first, last = x // across, (x + width - 1) // across
        top, bottom = y // down, (y + height - 1) // down
        numbers = [(row, column) for row in range(top, bottom + 1) for column in range(first, last + 1)]
        if any(at.lengths[row * at.columns + column] == 0 for row, column in numbers):
            return None  # never scanned: OpenSlide knows what stands for it
        whole = (width, height) == at.tile_px and len(numbers) == 1
        if whole:
            return self._decoded(at, top * at.columns + first)
        pixels = np.empty((height, width, 3), np.uint8)
        for row, column in numbers:
            tile = self._tile(level, at, row * at.columns + column)
            left, upper = max(x, column * across), max(y, row * down)
            right, lower = min(x + width, (column + 1) * across), min(y + height, (row + 1) * down)
            pixels[upper - y : lower - y, left - x : right - x] = tile[
                upper - row * down : lower - row * down, left - column * across : right - column * across
            ]
        return pixels

    def jpeg(self, level: int, x: int, y: int, size_px: int) -> bytes | None:
        """The slide's own JPEG file of a square, where the square is exactly one whole tile; else None."""
        at = self._levels[level]
        if at is None or at.tile_px != (size_px, size_px) or x % size_px or y % size_px:
            return None
        if x < 0 or y < 0 or x + size_px > at.size_px[0] or y + size_px > at.size_px[1]:
            return None
        number = y // size_px * at.columns + x // size_px
        return self._file_of(at, number) if at.lengths[number] else None

    def check(self, level: int, read: Callable[[int, int, int, int], np.ndarray]) -> bool:
        """Compare some tiles of a level with `read(x, y, width, height)` -> (height, width, 3) of OpenSlide.

        False when one differs, or too few can be compared: then the level is no longer served.
        """
        at = self._levels[level]
        if at is None:
            return False
        there = np.flatnonzero(at.lengths)
        picked = there[np.unique(np.linspace(0, len(there) - 1, _SAMPLES).astype(np.int64))] if len(there) else there
        same = [self._same(at, int(number), read) for number in picked]
        if False in same or 2 * same.count(True) < len(same) or not same:
            self._levels = (*self._levels[:level], None, *self._levels[level + 1 :])
        return self.serves(level)

    def _same(self, at: _Level, number: int, read: Callable[[int, int, int, int], np.ndarray]) -> bool | None:
        """Whether a tile's pixels are OpenSlide's; None: it is damaged, for one or the other."""
        row, column = divmod(number, at.columns)
        x, y = column * at.tile_px[0], row * at.tile_px[1]
        width, height = min(at.tile_px[0], at.size_px[0] - x), min(at.tile_px[1], at.size_px[1] - y)
        try:
            ours, theirs = self._decoded(at, number)[:height, :width], read(x, y, width, height)
        except BadPatch:
            return None
        return np.array_equal(ours, theirs)

    def _tile(self, level: int, at: _Level, number: int) -> np.ndarray:
        with self._lock:
            tile = self._cache.get((level, number))
            if tile is not None:
                self._cache.move_to_end((level, number))
                return tile
        tile = self._decoded(at, number)
        with self._lock:
            if (level, number) not in self._cache:
                self._cache[level, number] = tile
                self._cached += tile.nbytes
            while self._cached > self._cache_bytes:
                self._cached -= self._cache.popitem(last=False)[1].nbytes
        return tile

    def _decoded(self, at: _Level, number: int) -> np.ndarray:
        content = self._file_of(at, number)
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(content, strict=True)
            if (width, height) != at.tile_px or colours not in ("RGB", "YCbCr"):
                raise BadPatch(f"damaged tile: a JPEG of {width} x {height} px in {colours}")
            tile: np.ndarray = simplejpeg.decode_jpeg(content, "RGB", strict=True)
        except ValueError as error:
            raise BadPatch(f"damaged tile: {(str(error).splitlines() or [''])[0][:100]}") from error
        return tile

    def _file_of(self, at: _Level, number: int) -> bytes:
        offset, length = int(at.offsets[number]), int(at.lengths[number])
        if length > MOST_TILE_BYTES:
            raise BadPatch(f"damaged tile: it claims {length:,} bytes")
        try:
            content = os.pread(self._file.fileno(), length, offset)
        except (OSError, OverflowError) as error:
            raise BadPatch(f"damaged tile: {error}") from error
        if len(content) < length or content[:2] != b"\xff\xd8":
            raise BadPatch("damaged tile: truncated" if len(content) < length else "damaged tile: no JPEG begins here")
        return at.before + content[2:]


def open_tiled_jpeg(
    path: Path, level_sizes_px: tuple[tuple[int, int], ...], vendor: str, cache_bytes: int = CACHE_BYTES
) -> TiledJpeg | None:
    """Its tiles, where at least one of OpenSlide's levels (width, height) is a plain grid of JPEG tiles; else None."""
    if vendor not in ("generic-tiff", "aperio"):
        return None  # others stitch: overlaps, gaps and focal planes are OpenSlide's business
    try:
        with tifffile.TiffFile(path) as file:
            pages = [page for page in file.pages if isinstance(page, tifffile.TiffPage)]
            levels = tuple(_level_of(pages, size) for size in level_sizes_px)
    except _TIFF_ERRORS:
        return None
    return TiledJpeg(path, levels, cache_bytes) if any(level is not None for level in levels) else None


def _level_of(pages: list[tifffile.TiffPage], size_px: tuple[int, int]) -> _Level | None:
    for page in pages:
        if (page.imagewidth, page.imagelength) == size_px and page.is_tiled:
            return _level(page, size_px)
    return None


def _level(page: tifffile.TiffPage, size_px: tuple[int, int]) -> _Level | None:
    plain = (
        page.compression == _JPEG
        and page.photometric in (_RGB, _YCBCR)
        and page.samplesperpixel == 3
        and page.bitspersample == 8
        and page.planarconfig == 1
        and page.imagedepth == page.tiledepth == 1
        and 16 <= page.tilewidth <= MOST_TILE_PX
        and 16 <= page.tilelength <= MOST_TILE_PX
    )
    count = -(-size_px[0] // page.tilewidth) * -(-size_px[1] // page.tilelength) if plain else 0
    if not plain or count > MOST_TILES or not len(page.dataoffsets) == len(page.databytecounts) == count:
        return None
    tables = page.jpegtables or b"\xff\xd8\xff\xd9"
    if tables[:2] != b"\xff\xd8" or tables[-2:] != b"\xff\xd9":
        return None
    before = b"\xff\xd8" + (_ADOBE_RGB if page.photometric == _RGB else b"") + tables[2:-2]
    offsets, lengths = (np.array(values, np.int64) for values in (page.dataoffsets, page.databytecounts))
    return _Level(size_px, (page.tilewidth, page.tilelength), offsets, lengths, before)
