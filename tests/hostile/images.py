"""Images: headers that claim, parts that unpack, formats that run programs, files that are none."""

import functools
import io
import os
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.hostile.case import Deed, Place, several
from tests.hostile.laying import chain, good, png

SIGN = b"\x89PNG\r\n\x1a\n"
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n(evil-was-here) (w) file closefile\nshowpage\n"
SVG = b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg">&x;</svg>'


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _claims(width: int, height: int) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return SIGN + header + _chunk(b"IDAT", zlib.compress(bytes(1 << 20), 9)) + _chunk(b"IEND", b"")


def _with(kind: bytes, body: bytes, times: int = 1) -> bytes:
    """A sound PNG with one more chunk behind its header, over and over."""
    whole = png()
    return whole[:33] + _chunk(kind, body) * times + whole[33:]


def _tiff(**tags: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "TIFF")
    raw = bytearray(out.getvalue())
    (at,) = struct.unpack_from("<I", raw, 4)
    numbers = {"width": 256, "height": 257, "offset": 273, "size": 279}
    for name, value in tags.items():
        for entry in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", raw, at)[0], 12):
            if struct.unpack_from("<H", raw, entry)[0] == numbers[name]:
                struct.pack_into("<HII", raw, entry + 2, 4, 1, value)
    return bytes(raw)


def _tiff_pages(count: int) -> bytes:
    raw = bytearray(_tiff())
    (at,) = struct.unpack_from("<I", raw, 4)
    end = at + 2 + 12 * struct.unpack_from("<H", raw, at)[0]
    page, link = bytes(raw[at:end]), end
    for _ in range(count):
        struct.pack_into("<I", raw, link, len(raw))
        link = len(raw) + len(page)
        raw += page + bytes(4)
    return bytes(raw)


def _animated() -> bytes:
    out = io.BytesIO()
    first = Image.new("RGB", (16, 16))
    first.save(out, "PNG", save_all=True, append_images=[Image.new("RGB", (16, 16), (9, 9, 9))])
    return out.getvalue()


def _gif() -> bytes:
    out = io.BytesIO()
    Image.new("P", (16, 16)).save(out, "GIF")
    return out.getvalue()


@functools.cache
def _packed() -> bytes:
    """256 MB in little; not made where the cases are only collected."""
    return b"x\0\0" + zlib.compress(bytes(256 << 20), 9)


MAKE: dict[str, Callable[[], bytes]] = {
    "PNG of 3.6 gigapixels": lambda: _claims(60_000, 60_000),
    "PNG of nothing": lambda: _claims(0, 0),
    "PNG of one row": lambda: _claims(1_000_000_000, 1),
    "PNG of several images": _animated,
    "PNG of a large profile": lambda: _with(b"iCCP", _packed()),
    "PNG of a large text": lambda: _with(b"zTXt", _packed()),
    "PNG of many chunks": lambda: _with(b"teSt", b"", 200_000),
    "TIFF of 4 gigapixels": lambda: _tiff(width=65_535, height=65_535),
    "TIFF of nothing": lambda: _tiff(width=0),
    "TIFF beyond its end": lambda: _tiff(offset=1 << 31),
    "TIFF of many pages": lambda: _tiff_pages(20_000),
    "JPEG of many scans": lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0" + b"\xff\xda" * 1000,
    "PostScript": lambda: POSTSCRIPT,
    "SVG": lambda: SVG,
    "GIF": _gif,
    "script": lambda: b"#!/bin/sh\ntouch evil-was-here\n",
}


@several(65, "1 of 3 patches .* cannot be used", list(MAKE))
def image(place: Place, name: str) -> Deed:
    source = good(place.inside / "src")
    (source / "A" / "evil.png").write_bytes(MAKE[name]())
    return chain(place, {"kind": "folder", "path": source})


@several(65, "regular", ["pipe"])
def no_image(place: Place, name: str) -> Deed:
    source = good(place.inside / "src")
    os.mkfifo(source / "A" / f"{name}.png")
    return chain(place, {"kind": "folder", "path": source})
