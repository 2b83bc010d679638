"""A tiled JPEG TIFF written by hand, tag by tag: an oracle that shares no code with what reads it.

Little-endian, classic TIFF, one directory a level; what OpenSlide opens as `generic-tiled-tiff`, or as `aperio`
when the description says so.
"""

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

SUBSAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}
YCBCR, RGB = 6, 2
_FORMAT = {2: "s", 3: "H", 4: "I", 5: "II"}


def write_tiff(
    path: Path,
    levels: Sequence[np.ndarray],
    mpp: float | tuple[float, float] | None = 0.5,
    tile_px: int = 64,
    quality: int = 90,
    subsampling: str = "444",
    tables: bool = False,
    description: str = "",
    rgb: bool = False,
) -> list[tuple[int, int]]:
    """levels: (H, W, 3) uint8 each, level 0 first. tables: quantisation and Huffman tables in the JPEGTables tag.
    rgb: the JPEG components are red, green and blue, as only the TIFF's tag says (Aperio writes such).

    Returns (offset, length) of every tile of level 0, row by row.
    """
    content = bytearray(b"II*\0\0\0\0\0")
    link, first = 4, []
    for number, pixels in enumerate(levels):
        height, width = pixels.shape[:2]
        tiles = [_tile(pixels, x, y, tile_px, quality, None if rgb else subsampling)
                 for y in range(0, height, tile_px) for x in range(0, width, tile_px)]  # fmt: skip
        shared = b""
        if tables:
            shared, tiles = _split(tiles)
        places = []
        for tile in tiles:
            places.append((len(content), len(tile)))
            content += tile + b"\0" * (len(tile) % 2)
        first = first or places
        tags = {
            254: (4, [0 if number == 0 else 1]), 256: (4, [width]), 257: (4, [height]), 258: (3, [8, 8, 8]),
            259: (3, [7]), 262: (3, [RGB if rgb else YCBCR]), 277: (3, [3]), 284: (3, [1]),
            322: (3, [tile_px]), 323: (3, [tile_px]),
            324: (4, [at for at, _ in places]), 325: (4, [length for _, length in places]),
            530: (3, [1, 1] if rgb else list(SUBSAMPLING[subsampling])),
        }  # fmt: skip
        if description:
            tags[270] = (2, [description.encode() + b"\0"])
        if mpp is not None:
            x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
            tags |= {282: (5, [_rational(x)]), 283: (5, [_rational(y)]), 296: (3, [3])}
        if shared:
            tags[347] = (7, [shared])
        at = _directory(content, tags)
        struct.pack_into("<I", content, link, at)
        link = at + 2 + 12 * len(tags)
    path.write_bytes(content)
    return first


def _rational(mpp: float) -> tuple[int, int]:
    return round(1e4 / mpp * 1000), 1000  # pixels a centimetre


def _tile(pixels: np.ndarray, x: int, y: int, tile_px: int, quality: int, subsampling: str | None) -> bytes:
    tile = pixels[y : y + tile_px, x : x + tile_px]
    tile = np.pad(tile, ((0, tile_px - tile.shape[0]), (0, tile_px - tile.shape[1]), (0, 0)), mode="edge")
    if subsampling is None:
        out = io.BytesIO()
        Image.fromarray(tile).save(out, "JPEG", quality=quality, keep_rgb=True, subsampling=0)
        return _without(out.getvalue(), {0xEE, 0xE0})
    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(tile), quality, colorspace="RGB", colorsubsampling=subsampling
    )
    return encoded


def _without(jpeg: bytes, markers: set[int]) -> bytes:
    at, kept = 2, b"\xff\xd8"
    while jpeg[at + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        kept += b"" if jpeg[at + 1] in markers else jpeg[at : at + length]
        at += length
    return kept + jpeg[at:]


def _split(tiles: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """Tables once (they depend on the quality alone), and each tile without them."""
    shared, short = b"", []
    for tile in tiles:
        at, kept, tables = 2, b"\xff\xd8", b"\xff\xd8"
        while tile[at + 1] != 0xDA:  # start of scan
            length = 2 + int.from_bytes(tile[at + 2 : at + 4], "big")
            if tile[at + 1] in (0xDB, 0xC4):
                tables += tile[at : at + length]
            else:
                kept += tile[at : at + length]
            at += length
        shared = tables + b"\xff\xd9"
        short.append(kept + tile[at:])
    return shared, short


def _directory(content: bytearray, tags: dict[int, tuple[int, list]]) -> int:
    entries = b""
    for tag, (kind, values) in sorted(tags.items()):
        if kind in (2, 7):
            packed, count = values[0], len(values[0])
        elif kind == 5:
            packed, count = b"".join(struct.pack("<II", *value) for value in values), len(values)
        else:
            packed, count = struct.pack(f"<{len(values)}{_FORMAT[kind]}", *values), len(values)
        if len(packed) > 4:
            content += b"\0" * (len(content) % 2)
            place = struct.pack("<I", len(content))
            content += packed
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, count) + place
    content += b"\0" * (len(content) % 2)
    at = len(content)
    content += struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"
    return at


def picture(width: int, height: int, seed: int = 0, block: int = 8) -> np.ndarray:
    """(H, W, 3) uint8: smooth colour fields with fine texture, everywhere different."""
    import cv2

    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (-(-height // block) + 1, -(-width // block) + 1, 3), dtype=np.uint8)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.add(large, rng.integers(0, 20, (height, width, 3), dtype=np.uint8)))
