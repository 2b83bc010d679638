import math
import tracemalloc

import cv2
import numpy as np
import pytest

from data.errors import ChainError
from data.wsi import thumbnail as module
from data.wsi.slide import inspect
from data.wsi.thumbnail import read_thumbnail
from tests.data.wsi.tiny_tiff import picture, write_tiff


@pytest.mark.parametrize("levels", [(1,), (1, 4)])
@pytest.mark.parametrize("block", [64, 100, 4096])
@pytest.mark.parametrize("mpp", [2.0, 3.3, 8.0])
def test_a_thumbnail_is_the_slide_made_small_whatever_the_blocks(tmp_path, monkeypatch, levels, block, mpp):
    monkeypatch.setattr(module, "_BLOCK_READ_PX", block)
    level0 = picture(640, 400, block=80)
    small = [cv2.resize(level0, (640 // n, 400 // n), interpolation=cv2.INTER_AREA) for n in levels]
    write_tiff(tmp_path / "a.tif", small, 0.5, quality=98)
    found = read_thumbnail(inspect(tmp_path / "a.tif"), mpp)
    height, width = found.pixels.shape[:2]
    assert math.isclose(found.mpp, mpp, rel_tol=0.02)
    assert found.downsample == (640 / width, 400 / height)
    expected = cv2.resize(level0, (width, height), interpolation=cv2.INTER_AREA)
    assert np.abs(found.pixels.astype(int) - expected).mean() < 3
    assert not found.unread.any()


def test_it_is_never_larger_than_stated_nor_enlarged(tmp_path):
    write_tiff(tmp_path / "a.tif", [picture(640, 400)], 0.5)
    info = inspect(tmp_path / "a.tif")
    assert read_thumbnail(info, 0.5, longest_px=100).pixels.shape == (62, 100, 3)
    assert read_thumbnail(info, 0.1).pixels.shape == (400, 640, 3)


def test_only_what_is_damaged_is_unread(tmp_path):
    path = tmp_path / "a.tif"
    tiles = write_tiff(path, [picture(640, 640)], 0.5)
    whole = bytearray(path.read_bytes())
    at, length = tiles[34]
    whole[at : at + length] = bytes(length)
    path.write_bytes(whole)
    found = read_thumbnail(inspect(path), 4.0)
    rows, columns = np.nonzero(found.unread)
    assert found.unread.any()
    # 8 px of the thumbnail a tile; blocks around damage are divided down to as much
    assert 3 * 8 - 8 <= rows.min() <= rows.max() < 4 * 8 + 8
    assert 4 * 8 - 8 <= columns.min() <= columns.max() < 5 * 8 + 8
    for offset, size in tiles:
        whole[offset : offset + size] = bytes(size)
    path.write_bytes(whole)
    with pytest.raises(ChainError, match="cannot be read"):
        read_thumbnail(inspect(path), 4.0)


def test_memory_is_bounded_without_small_levels(tmp_path):
    write_tiff(tmp_path / "a.tif", [np.full((6000, 6000, 3), 200, np.uint8)], 0.5, tile_px=256, quality=50)
    info = inspect(tmp_path / "a.tif")
    tracemalloc.start()
    read_thumbnail(info, 16.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 << 20, "the slide itself is 108 MB"


def test_a_coarser_copy_covers_the_same_and_forgets_no_damage(tmp_path):
    write_tiff(tmp_path / "a.tif", [picture(640, 400, block=80)], 0.5)
    fine = read_thumbnail(inspect(tmp_path / "a.tif"), 1.0)
    fine.unread[31, 77] = True
    coarse = fine.coarser(3.3)
    height, width = coarse.pixels.shape[:2]
    assert coarse.downsample == pytest.approx((640 / width, 400 / height))
    assert math.isclose(coarse.mpp, 3.3, rel_tol=0.02)
    (row,), (column,) = np.nonzero(coarse.unread)
    assert (row, column) == (int(31.5 * height / 200), int(77.5 * width / 320))
    assert fine.coarser(0.9) is fine
