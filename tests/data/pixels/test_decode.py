import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from data.pixels.bad_patch import BadPatch
from data.pixels.decode import MAX_PIXELS, PNG, decode, pixel_digest, strict_pillow


@pytest.fixture(autouse=True)
def _strict():
    with strict_pillow():
        yield


KINDS = [
    ("JPEG", 3, "u1", {}),
    ("JPEG", 3, "u1", {"progressive": True}),
    ("JPEG", 1, "u1", {}),
    ("PNG", 3, "u1", {}),
    ("PNG", 1, "u1", {}),
    ("PNG", 1, "u2", {}),
    ("TIFF", 3, "u1", {}),
    ("TIFF", 3, "u1", {"compression": "tiff_lzw"}),
    ("TIFF", 1, "u2", {}),
    ("TIFF", 1, "u2", {"compression": "tiff_adobe_deflate"}),
    ("BMP", 3, "u1", {}),
    ("BMP", 1, "u1", {}),
]


@pytest.mark.parametrize(("form", "channels", "dtype", "options"), KINDS)
def test_pixels_equal_an_independent_decoder(patch, encode, form, channels, dtype, options):
    pixels = patch(1, 24, channels, dtype)
    content = encode(pixels, form, **options)
    decoded = decode(content)
    oracle = np.asarray(Image.open(io.BytesIO(content))).reshape(pixels.shape)
    assert np.array_equal(decoded.pixels, oracle)
    assert decoded.pixels.dtype == pixels.dtype
    assert decoded.jpeg == (form == "JPEG")
    assert decoded.mode == {(3, "u1"): "rgb8", (1, "u1"): "grey8", (1, "u2"): "grey16"}[channels, dtype]
    if form != "JPEG":
        assert np.array_equal(decoded.pixels, pixels)


@pytest.mark.parametrize(("form", "channels", "dtype", "options"), KINDS)
def test_every_cut_is_refused(patch, encode, form, channels, dtype, options):
    content = encode(patch(2, 40, channels, dtype), form, **options)
    good = decode(content).pixels
    for share in range(19):
        with pytest.raises(BadPatch):
            decode(content[: len(content) * (2 * share + 1) // 38])
    for tail in range(1, 17):
        try:
            cut = decode(content[:-tail]).pixels
        except BadPatch:
            continue
        # nothing but padding behind the last pixel may be missing
        assert form == "TIFF"
        assert np.array_equal(cut, good)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_files_are_decoded_or_refused_never_anything_else(data):
    kind = data.draw(st.sampled_from(KINDS))
    form, channels, dtype, options = kind
    pixels = np.arange(12 * 12 * channels).reshape(12, 12, channels).astype(dtype)
    out = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(out, form, **options)
    content = bytearray(out.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with strict_pillow():
        try:
            channels_found = decode(bytes(content)).pixels.shape[2]
        except BadPatch:
            return
    assert channels_found in (1, 3)


def test_one_flipped_byte_in_a_png_is_refused(patch, encode):
    content = bytearray(encode(patch(3, 24), "PNG"))
    content[len(content) // 2] ^= 1
    with pytest.raises(BadPatch, match="checksum"):
        decode(bytes(content))


def _png_claiming(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return PNG + chunk + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


@pytest.mark.parametrize("size", [(60_000, 60_000), (0, 10), (MAX_PIXELS + 1, 1)])
def test_a_bomb_is_refused_by_its_header(size):
    with pytest.raises(BadPatch, match="px: no patch"):
        decode(_png_claiming(*size))


def _saved(image, form="PNG", **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def test_unusual_images_are_refused_with_a_reason(patch):
    rgb = Image.fromarray(patch(4))
    deep = np.zeros((8, 8), np.int32)
    cases = {
        "CMYK": _saved(rgb.convert("CMYK"), "JPEG"),
        "palette": _saved(rgb.convert("P")),
        "1 bits": _saved(rgb.convert("1")),
        "transparent": _saved(rgb.convert("RGBA").rotate(45)),
        "transparent colour": _saved(rgb, transparency=(1, 2, 3)),
        "animated": _saved(rgb, save_all=True, append_images=[rgb.rotate(90)]),
        "several pages": _saved(rgb, "TIFF", save_all=True, append_images=[rgb]),
        "compressed as jpeg": _saved(rgb, "TIFF", compression="jpeg"),
        "32": _saved(Image.fromarray(deep), "TIFF"),
        "not a JPEG": b"GIF89a" + b"\0" * 40,
        "empty": b"",
    }
    for reason, content in cases.items():
        with pytest.raises(BadPatch, match=reason):
            decode(content)


def test_an_opaque_alpha_channel_is_dropped(patch):
    pixels = patch(5)
    assert np.array_equal(decode(_saved(Image.fromarray(pixels).convert("RGBA"))).pixels, pixels)


def test_16_bit_rgb_is_refused_not_cut_to_8_bits():
    header = b"IHDR" + struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"".join(b"\0" + b"\x12\x34" * 6 for _ in range(2)))
    chunks = [header, body, b"IEND"]
    content = PNG + b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    assert Image.open(io.BytesIO(content)).mode == "RGB"  # what makes it dangerous
    with pytest.raises(BadPatch, match="16 bits"):
        decode(content)


def test_exif_rotation_is_not_applied(patch):
    image = Image.fromarray(patch(6))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert np.array_equal(decode(_saved(image, exif=exif)).pixels, patch(6))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_tiff_that_is_to_be_turned_is_refused_for_pillow_would_turn_it(patch, orientation):
    with pytest.raises(BadPatch, match=f"orientation {orientation}.*save it upright"):
        decode(_saved(Image.fromarray(patch(6)), "TIFF", tiffinfo={274: orientation}))
    upright = decode(_saved(Image.fromarray(patch(6)), "TIFF", tiffinfo={274: 1})).pixels
    assert np.array_equal(upright, patch(6))


def test_signed_bytes_in_a_tiff_are_refused_not_taken_for_unsigned_ones():
    written = io.BytesIO()
    tifffile.imwrite(written, np.full((8, 8), -30, np.int8), photometric="minisblack")
    with pytest.raises(BadPatch, match="signed"):
        decode(written.getvalue())


def test_tolerance_of_truncation_set_by_others_is_switched_off_and_given_back(patch, encode, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    content = encode(patch(7, 40), "BMP")
    with strict_pillow(), pytest.raises(BadPatch):
        decode(content[:-400])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_the_digest_tells_pixels_shapes_and_modes_apart(patch):
    pixels = patch(8, 16, 1)
    other = pixels.copy()
    other[3, 3] ^= 1
    digests = {
        pixel_digest(pixels, "grey8"),
        pixel_digest(other, "grey8"),
        pixel_digest(pixels.reshape(8, 32, 1), "grey8"),
        pixel_digest(pixels, "rgb8"),
    }
    assert len(digests) == 4


def test_the_digest_does_not_depend_on_byte_order(patch):
    pixels = patch(9, 16, 1, "u2")
    assert pixel_digest(pixels, "grey16") == pixel_digest(pixels.astype(">u2"), "grey16")


def _tiff_of(pages):
    """One image, its directory repeated: 126 bytes a page."""
    content = _saved(Image.new("RGB", (16, 16)), "TIFF")
    (first,) = struct.unpack_from("<I", content, 4)
    end = first + 2 + 12 * struct.unpack_from("<H", content, first)[0]
    page = content[first:end]
    out = bytearray(content) + bytes(len(content) % 2)
    place = end
    for _ in range(pages - 1):
        struct.pack_into("<I", out, place, len(out))
        place = len(out) + len(page)
        out += page + bytes(4)
    return bytes(out)


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


_HEADER = PNG + _chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
_PIXELS = _chunk(b"IDAT", zlib.compress(bytes(49) * 16)) + _chunk(b"IEND", b"")
_LARGE = zlib.compress(bytes(64 << 20), 9)


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        ("several pages", lambda: _tiff_of(20_000)),
        ("chunks", lambda: _HEADER + _chunk(b"teSt", b"") * 200_000 + _PIXELS),
        ("too large", lambda: _HEADER + _chunk(b"iCCP", b"x\0\0" + _LARGE) + _PIXELS),
        ("too large", lambda: _HEADER + _chunk(b"zTXt", b"x\0\0" + _LARGE) + _PIXELS),
        ("too large", lambda: _HEADER + _chunk(b"iTXt", b"x\0\1\0\0\0" + _LARGE) + _PIXELS),
        ("scans", lambda: _saved(Image.new("L", (64, 64)), "JPEG")[:-2] + b"\xff\xda" * 201),
    ],
    ids=["TIFF pages", "PNG chunks", "colour profile", "text", "international text", "JPEG scans"],
)
def test_bombs_of_many_or_packed_parts_are_refused_at_once(reason, make):
    content = make()
    began = time.process_time()
    with pytest.raises(BadPatch, match=reason):
        decode(content)
    assert time.process_time() - began < 1


def test_pixels_packed_beyond_the_image_are_not_unpacked():
    content = _HEADER + _chunk(b"IDAT", _LARGE) + _chunk(b"IEND", b"")
    tracemalloc.start()
    assert decode(content).pixels.shape == (16, 16, 3)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
