"""Encoded bytes to pixels, strictly: a damaged or unusual file is refused, never guessed at.

Formats by signature: JPEG, PNG, TIFF, BMP. EXIF rotation is not applied, and a TIFF that asks for it is refused: pixels
are what the file stores, because a patch's place in its slide is given in those pixels.
"""

import contextlib
import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import BmpImagePlugin, Image, ImageFile, PngImagePlugin, TiffImagePlugin

from data.pixels.bad_patch import BadPatch as BadPatch
from data.pixels.modes import DTYPE, MAX_SIZE_PX, Mode, mode_of, with_channels

MAX_PIXELS = MAX_SIZE_PX * MAX_SIZE_PX  # far below what would exhaust memory in a few threads
JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\x00", b"MM\x00*")
BMP = b"BM"
# each costs time on its own, however few pixels there are: 256 MiB of empty ones took a minute
MAX_CHUNKS = 100_000  # of a PNG; 8 KiB of pixels each make the largest patch
MAX_SCANS = 200  # of a progressive JPEG; usual are ten
# what Pillow raises on hostile bytes, warnings among them (see strict_pillow); out of memory stays an error of ours
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError, ArithmeticError, LookupError,
                 TypeError, AttributeError, RuntimeError, AssertionError, Warning)  # fmt: skip
# lossless, and refused by libtiff when cut; a JPEG inside a TIFF is not
TIFF_COMPRESSION = {"raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"}
UNSIGNED = {1, 4}  # of its sample formats: whole numbers, and those of which it does not say what they are
TURNED = range(2, 9)  # of its orientations


class Decoded(NamedTuple):
    """pixels: (H, W, C) uint8 or uint16; jpeg: the bytes are a JPEG whose decoding gives exactly these pixels."""

    pixels: np.ndarray
    mode: Mode
    jpeg: bool


@contextlib.contextmanager
def strict_pillow() -> Iterator[None]:
    """Make Pillow's warnings errors and its tolerance of truncation off. Enter once, around all threads.

    (Python's warning filters belong to the process: changing them inside each thread would race.)
    """
    tolerant, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", module=r"PIL\.")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerant


def decode(content: bytes) -> Decoded:
    """Decode a whole file fully. Raises BadPatch with the reason. Call inside `strict_pillow()`."""
    if content.startswith(JPEG):
        return _jpeg(content)
    if content.startswith(PNG):
        pixels = _png(content)
    elif content.startswith(TIFF):
        pixels = _tiff(content)
    elif content.startswith(BMP):
        pixels = _bmp(content)
    else:
        raise BadPatch("empty file" if not content else "not a JPEG, PNG, TIFF or BMP")
    pixels = with_channels(pixels)
    return Decoded(pixels, mode_of(pixels), jpeg=False)


def decode_jpeg(content: bytes | np.ndarray, mode: Mode) -> np.ndarray:
    """Strict JPEG decoding, (H, W, C) uint8, the same for the ingest and for every later read. Raises ValueError."""
    pixels: np.ndarray = simplejpeg.decode_jpeg(content, "RGB" if mode == "rgb8" else "GRAY", strict=True)
    return pixels


def unpacked(
    held: bytes | np.ndarray, start: int, stop: int, jpeg: bool, mode: Mode, shape: tuple[int, int, int]
) -> np.ndarray:
    """held[start:stop], what a store holds of one patch, as pixels of `shape` (H, W, C), the caller's own.

    held: bytes or (B,) uint8; jpeg: it is a JPEG file, else raw little-endian pixels. Raises ValueError, TypeError when
    it is no such patch.
    """
    if jpeg:
        return decode_jpeg(held[start:stop], mode)
    pixels: np.ndarray = np.ndarray(shape, DTYPE[mode], held, start)
    if pixels.nbytes != stop - start:
        raise ValueError(f"it has {stop - start:,} of {pixels.nbytes:,} bytes")
    return pixels.copy()


def jpeg_size_px(content: bytes) -> tuple[int, int]:
    """(height, width) that a JPEG declares: a few kilobytes may declare gigabytes. Raises ValueError."""
    height, width, *_ = simplejpeg.decode_jpeg_header(content, strict=True)
    return height, width


def pixel_digest(pixels: np.ndarray, mode: Mode) -> tuple[int, int]:
    """First 128 bits of the SHA-256 of mode, shape and little-endian pixels (H, W, C), as two 64-bit integers."""
    digest = hashlib.sha256(f"{mode} {'x'.join(map(str, pixels.shape))}\n".encode())
    digest.update(np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).data)
    return struct.unpack(">QQ", digest.digest()[:16])


def _jpeg(content: bytes) -> Decoded:
    # the mark of a scan cannot occur in its data, where 255 is always followed by 0
    if content.count(b"\xff\xda") > MAX_SCANS:
        raise BadPatch(f"JPEG of more than {MAX_SCANS} scans: save it again")
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content, strict=True)
        _refuse_size(height, width)
        if colours not in ("YCbCr", "RGB", "Gray"):
            raise BadPatch(f"JPEG in {colours}: save it as RGB or grey")
        mode: Mode = "grey8" if colours == "Gray" else "rgb8"
        return Decoded(decode_jpeg(content, mode), mode, jpeg=True)
    except ValueError as error:
        raise BadPatch(f"damaged JPEG: {_brief(error)}") from error


def _png(content: bytes) -> np.ndarray:
    _check_png_chunks(content)
    width, height, depth, colour = struct.unpack_from(">IIBB", content, 16)
    _refuse_size(height, width)
    if colour == 3:
        raise BadPatch("PNG with a palette: save it as RGB or grey")
    if depth not in ((8, 16) if colour == 0 else (8,)):
        raise BadPatch(f"PNG with {depth} bits: save it as 8-bit RGB, or as 8- or 16-bit grey")
    with _refusing("PNG"):
        image = PngImagePlugin.PngImageFile(io.BytesIO(content))
        if "transparency" in image.info:
            raise BadPatch("PNG with a transparent colour: save it without")
        return _load(image)


def _check_png_chunks(content: bytes) -> None:
    """Every chunk whole with the right checksum, from IHDR to IEND: Pillow accepts a file cut in its last chunks."""
    at, kind, chunks = len(PNG), b"", 0
    while kind != b"IEND":
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise BadPatch(f"PNG of more than {MAX_CHUNKS:,} chunks: save it again")
        if at + 12 > len(content):
            raise BadPatch("truncated PNG")
        (length,) = struct.unpack_from(">I", content, at)
        kind = content[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(content):
            raise BadPatch("truncated PNG")
        if at == len(PNG) and (kind != b"IHDR" or length != 13):
            raise BadPatch("damaged PNG: no header")
        if kind == b"acTL":
            raise BadPatch("animated PNG: save one image a file")
        if zlib.crc32(memoryview(content)[at + 4 : end - 4]) != struct.unpack_from(">I", content, end - 4)[0]:
            raise BadPatch("damaged PNG: wrong checksum")
        at = end


def _tiff(content: bytes) -> np.ndarray:
    with _refusing("TIFF"):
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(content))
        _refuse_size(image.height, image.width)
        tags = image.tag_v2
        compression = str(image.info.get("compression", "raw"))
        if compression not in TIFF_COMPRESSION:
            raise BadPatch(f"TIFF compressed as {compression}: save it uncompressed or as PNG")
        bits = set(tags.get(258, (1,)))
        if bits not in ({8}, {16}) or (bits == {16} and (image.mode[:4] != "I;16" or tags.get(262) != 1)):
            raise BadPatch(f"TIFF with {sorted(bits)} bits a channel: save it as 8-bit RGB, or as 8- or 16-bit grey")
        if set(tags.get(339, (1,))) - UNSIGNED:
            raise BadPatch("TIFF with signed numbers: save it as 8-bit RGB, or as 8- or 16-bit grey, without sign")
        if tags.get(274, 1) in TURNED:
            # Pillow would turn the pixels, of TIFF alone
            raise BadPatch(f"TIFF that is to be turned or mirrored (orientation {tags[274]}): save it upright")
        where, sizes = (273, 279) if 273 in tags else (324, 325)
        if any(a + n > len(content) for a, n in zip(tags[where], tags[sizes], strict=True)):
            raise BadPatch("truncated TIFF")
        # not n_frames: Pillow counts n pages in n^2 steps
        if tags.next:
            raise BadPatch("TIFF with several pages: save one image a file")
        return _load(image)


def _bmp(content: bytes) -> np.ndarray:
    with _refusing("BMP"):
        if len(content) < 54 or struct.unpack_from("<I", content, 2)[0] > len(content):
            raise BadPatch("truncated BMP")
        if struct.unpack_from("<H", content, 28)[0] not in (8, 24, 32):
            raise BadPatch("BMP with few bits: save it as 8-bit RGB or grey")
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(content))
        _refuse_size(image.height, image.width)
        return _load(image)


def _load(image: Image.Image) -> np.ndarray:
    image.load()
    if image.mode in ("RGBA", "LA"):
        if image.getchannel("A").getextrema() != (255, 255):
            raise BadPatch("partly transparent: save it without an alpha channel")
        image = image.convert(image.mode[:-1])
    if image.mode not in ("RGB", "L") and not image.mode.startswith("I;16"):
        raise BadPatch(f"pixels of kind {image.mode}: save it as 8-bit RGB, or as 8- or 16-bit grey")
    return np.array(image)


@contextlib.contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except PILLOW_ERRORS as error:
        raise BadPatch(f"damaged {what}: {_brief(error)}") from error


def _refuse_size(height: int, width: int) -> None:
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise BadPatch(f"{width} x {height} px: no patch (at most {MAX_PIXELS} pixels)")


def _brief(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:100] or type(error).__name__
