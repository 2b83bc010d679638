"""The fast route gives OpenSlide's pixels, or is not taken."""

import itertools

import numpy as np
import openslide
import pytest

from data.pixels.bad_patch import BadPatch
from data.pixels.decode import decode_jpeg
from data.wsi.plan import plan_reading
from data.wsi.reading import SlideReader
from data.wsi.slide import inspect
from data.wsi.tiled_jpeg import open_tiled_jpeg
from tests.data.wsi.tiny_tiff import picture, write_tiff

APERIO = "Aperio Image Library v11.2.1 \r\n|AppMag = 20|MPP = 0.5000"
KINDS = [
    *({"subsampling": s, "tables": t, "description": d}
      for s, t, d in itertools.product(("444", "422", "420"), (False, True), ("", APERIO))),
    {"rgb": True}, {"rgb": True, "tables": True, "description": APERIO}, {"tile_px": 48}, {"quality": 30},
]  # fmt: skip


def theirs(path, x, y, side, level=0):
    with openslide.OpenSlide(path) as slide:
        return np.asarray(slide.read_region((x, y), level, (side, side)).convert("RGB"))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_pixels_are_those_of_openslide_bit_for_bit(tmp_path, kind):
    path, level0 = tmp_path / "a.tif", picture(500, 400, seed=3, block=5)
    write_tiff(path, [level0, level0[::4, ::4]], 0.5, **kind)
    for mpp, level, factor in ((0.5, 0, 1), (2.0, 1, 4)):
        for side in (64, 48, 40, 90):
            reader = SlideReader(path, plan_reading(inspect(path), mpp, side))
            assert reader.route == "tiles"
            for x, y in itertools.product(
                (0, 64, 48, 13, 500 // factor - side), (0, 128 // factor, 400 // factor - side)
            ):
                if x < 0 or y < 0 or x + side > 500 // factor or y + side > 400 // factor:
                    continue
                expected = theirs(path, x * factor, y * factor, side, level)
                assert np.array_equal(reader.patch(x * factor, y * factor), expected), (level, side, x, y)


@pytest.mark.parametrize("kind", [{}, {"tables": True, "subsampling": "420"}, {"rgb": True, "tables": True}], ids=str)
def test_a_patch_that_is_one_tile_keeps_its_own_bytes(tmp_path, kind):
    write_tiff(tmp_path / "a.tif", [picture(200, 200)], 0.5, **kind)
    reader = SlideReader(tmp_path / "a.tif", plan_reading(inspect(tmp_path / "a.tif"), 0.5, 64))
    own = reader.jpeg(64, 128)
    assert own is not None
    assert np.array_equal(decode_jpeg(own, "rgb8"), theirs(tmp_path / "a.tif", 64, 128, 64))
    assert reader.jpeg(65, 128) is None
    assert reader.jpeg(192, 128) is None, "the tile is whole, the slide ends within it"
    other = SlideReader(tmp_path / "a.tif", plan_reading(inspect(tmp_path / "a.tif"), 0.5, 32))
    assert other.jpeg(64, 64) is None


def test_a_damaged_tile_is_bad_though_openslide_gives_noise_for_it(tmp_path):
    path = tmp_path / "a.tif"
    tiles = write_tiff(path, [picture(256, 256)], 0.5)
    whole = bytearray(path.read_bytes())
    offset, length = tiles[5]  # second row, second tile
    whole[offset + length // 2 : offset + length - 2] = bytes(length - 2 - length // 2)
    path.write_bytes(whole)
    theirs(path, 64, 64, 64)  # no error
    reader = SlideReader(path, plan_reading(inspect(path), 0.5, 64))
    with pytest.raises(BadPatch, match="damaged tile"):
        reader.patch(64, 64)
    assert np.array_equal(reader.patch(128, 64), theirs(path, 128, 64, 64))


def test_a_file_that_openslide_reads_otherwise_is_left_to_it(tmp_path):
    path = tmp_path / "a.tif"
    write_tiff(path, [picture(256, 256)], 0.5)
    tiled = open_tiled_jpeg(path, ((256, 256),), "generic-tiff")
    assert tiled is not None
    assert not tiled.check(0, lambda x, y, w, h: np.zeros((h, w, 3), np.uint8))
    assert tiled.region(0, 0, 0, 64, 64) is None
    assert not tiled.serves(0)


def test_other_vendors_and_levels_that_do_not_fit_are_left_to_openslide(tmp_path):
    path = tmp_path / "a.tif"
    write_tiff(path, [picture(256, 256)], 0.5)
    assert open_tiled_jpeg(path, ((256, 256),), "ventana") is None
    assert open_tiled_jpeg(path, ((255, 256),), "generic-tiff") is None
    path.write_bytes(b"II*\0 no TIFF")
    assert open_tiled_jpeg(path, ((256, 256),), "generic-tiff") is None


def test_the_cache_of_tiles_is_bounded(tmp_path):
    write_tiff(tmp_path / "a.tif", [picture(640, 640)], 0.5)
    tiled = open_tiled_jpeg(tmp_path / "a.tif", ((640, 640),), "generic-tiff", 5 * 64 * 64 * 3)
    for x in range(0, 500, 32):
        assert np.array_equal(tiled.region(0, x, 32, 64, 64), theirs(tmp_path / "a.tif", x, 32, 64))
    assert tiled._cached == sum(tile.nbytes for tile in tiled._cache.values()) <= 5 * 64 * 64 * 3
