"""The size a compressed picture says it has: a decoder allocates what it says, so it is looked at first.

JPEG and JPEG-LS: ITU-T T.81 and T.87, the frame header (SOF). JPEG 2000: ITU-T T.800, the marker SIZ.
"""

import struct

JPEG_2000 = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}
# every SOF of T.81 (not DHT, JPG and DAC, which lie among them), and SOF55 of JPEG-LS
FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
MOST_TILES = 4096


def picture_size(stream: bytes, syntax: str) -> tuple[int, int] | None:
    """(rows, columns) of a picture of one component; None when there is none, or it is made to exhaust the decoder."""
    return _jpeg_2000(stream) if syntax in JPEG_2000 else _jpeg(stream)


def _jpeg_2000(stream: bytes) -> tuple[int, int] | None:
    at = stream.find(b"\xff\x4f\xff\x51", 0, 1024)
    if at < 0 or len(stream) < at + 42:
        return None
    x, y, x0, y0, tile_x, tile_y, tile_x0, tile_y0, components = struct.unpack_from(">8IH", stream, at + 8)
    if components != 1 or not tile_x or not tile_y or x <= x0 or y <= y0 or tile_x0 > x0 or tile_y0 > y0:
        return None
    if -(-(x - tile_x0) // tile_x) * -(-(y - tile_y0) // tile_y) > MOST_TILES:
        return None
    return y - y0, x - x0


def _jpeg(stream: bytes) -> tuple[int, int] | None:
    at = 2
    while stream[:2] == b"\xff\xd8" and at + 10 <= len(stream):
        if stream[at] != 0xFF:
            return None
        marker = stream[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        length, _, rows, columns, components = struct.unpack_from(">HBHHB", stream, at + 2)
        if marker in FRAME_MARKERS:
            return (rows, columns) if components == 1 else None
        if marker == 0xDA or length < 2:  # the picture begins, and nothing said how large it is
            return None
        at += 2 + length
    return None
