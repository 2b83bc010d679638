"""What is read is what lies there: the area-downsampled level 0, computed here in another way."""

import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.errors import ChainError, ExitCode
from data.pixels.bad_patch import BadPatch
from data.wsi.pixels import read_rgb
from data.wsi.plan import plan_reading
from data.wsi.reading import SlideReader, read_reference
from data.wsi.resample import resampled
from data.wsi.slide import inspect
from tests.data.wsi.tiny_tiff import picture, write_tiff

W, H, MPP = 1200, 904, 0.25


def area_mean(pixels: np.ndarray, x: float, y: float, scale: float, size: int) -> np.ndarray:
    """(size, size, 3) float64 means over exact, fractional areas: sums of an integral image, by weights."""

    def weights(start: float, length: int) -> np.ndarray:
        edges = start + np.arange(size + 1) * scale
        pixel = np.arange(length)
        low, high = edges[:-1, None], edges[1:, None]
        return np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None) / scale

    down, across = weights(y, pixels.shape[0]), weights(x, pixels.shape[1])
    return np.einsum("ij,jkc,lk->ilc", down, pixels.astype(np.float64), across, optimize=True)


@pytest.fixture(scope="module")
def slide(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """Level 0 at 0.25 um/px, level 1 four times coarser (exact), both nearly lossless."""
    path = tmp_path_factory.mktemp("slide") / "a.tif"
    level0 = picture(W, H, block=24)
    write_tiff(path, [level0, cv2.resize(level0, (W // 4, H // 4), interpolation=cv2.INTER_AREA)], MPP, quality=100)
    return path, level0


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("mpp", "level"),
    # as it is, twice, not whole factors; the coarser level as it is, and not whole factors of it
    [(0.25, 0), (0.5, 0), (0.33, 0), (0.7771, 0), (1.0, 1), (1.37, 1), (3.1, 1)],
)
def test_a_patch_is_the_area_downsampled_level_0_region(slide, mpp, level, fast):
    """To a grey level or so on average: JPEG's error, and means of means. Off by a pixel of level 0 it would be 4."""
    path, level0 = slide
    plan = plan_reading(inspect(path), mpp, 24)
    assert plan.level == level
    assert math.isclose(plan.side_px, 24 * mpp / MPP)
    reader = SlideReader(path, plan, fast=fast)
    side = math.ceil(plan.side_px)
    for x, y in ((0, 0), (4, 8), (316, 128), ((W - side) // 4 * 4, (H - side) // 4 * 4)):
        difference = np.abs(reader.patch(x, y) - area_mean(level0, x, y, mpp / MPP, 24))
        assert difference.mean() <= 1.4, (x, y)
        assert difference.max() <= 8, (x, y)


def test_places_between_pixels_of_a_coarse_level_are_interpolated_not_rounded(slide):
    path, level0 = slide
    reader = SlideReader(path, plan_reading(inspect(path), 1.0, 24))
    exact = area_mean(level0, 402, 202, 4.0, 24)
    assert np.abs(reader.patch(402, 202) - exact).mean() < 3
    assert np.abs(reader.patch(400, 200) - exact).mean() > 4


def test_a_pyramid_of_odd_sizes_keeps_its_place(tmp_path):
    level0 = picture(1203, 905, block=48)
    write_tiff(
        tmp_path / "odd.tif", [level0, cv2.resize(level0, (300, 226), interpolation=cv2.INTER_AREA)], MPP, quality=100
    )
    plan = plan_reading(inspect(tmp_path / "odd.tif"), 2.0, 24)
    assert plan.level == 1
    assert plan.downsample != round(plan.downsample)
    reader = SlideReader(tmp_path / "odd.tif", plan)
    assert reader.route == "openslide"
    side = math.ceil(plan.side_px)
    for x, y in ((0, 0), (501, 333), (1203 - side, 905 - side)):
        expected = area_mean(level0, x, y, 2.0 / MPP, 24)
        assert np.abs(reader.patch(x, y) - expected).mean() < 2.5, (x, y)


@given(scale=st.floats(1.0001, 9) | st.floats(1.0001, 1.05), size=st.integers(1, 60), seed=st.integers(0, 9))
@settings(max_examples=120, deadline=None)
def test_shrinking_is_an_exact_mean_at_any_scale(scale, size, seed):
    side = math.ceil(size * scale - 1e-6)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    # half a level of rounding; and OpenCV leaves weights below a thousandth out
    assert np.abs(resampled(pixels, scale, size) - area_mean(pixels, 0, 0, scale, size)).max() <= 0.5 + 2 * 0.255


def test_growing_puts_centres_on_centres():
    ramp = np.repeat(np.arange(0, 200, 10, dtype=np.uint8)[None, :, None], 20, 0).repeat(3, 2)
    grown = resampled(ramp, 0.5, 40)
    inner = grown[10, 2:-2, 0].astype(float)
    assert np.allclose(inner, 10 * ((np.arange(2, 38) + 0.5) * 0.5 - 0.5), atol=1)


def test_within_the_tolerance_pixels_are_taken_as_they_are(slide):
    path, _ = slide
    info = inspect(path)
    assert plan_reading(info, 0.252, 24).scale == 1.0
    assert plan_reading(info, 0.252, 24).mpp == MPP
    assert plan_reading(info, 0.248, 24).scale == 1.0
    assert plan_reading(info, 0.256, 24).scale == 0.256 / MPP
    assert plan_reading(info, 0.256, 24, tolerance=0.03).scale == 1.0


def test_a_coarser_slide_is_refused_by_both_resolutions_unless_allowed(slide):
    path, _ = slide
    with pytest.raises(ChainError) as caught:
        plan_reading(inspect(path), 0.1, 24)
    assert caught.value.code == ExitCode.MISMATCH
    assert "0.25" in caught.value.what
    assert "0.1" in caught.value.what
    plan = plan_reading(inspect(path), 0.1, 24, allow_upsampling=True)
    assert SlideReader(path, plan).patch(100, 100).shape == (24, 24, 3)
    assert plan.mpp == 0.1


def test_what_a_patch_reads_is_bounded(slide):
    with pytest.raises(ChainError, match="best level"):
        plan_reading(inspect(slide[0]), 50, 4096)


@given(x=st.integers(-(2**40), 2**40), y=st.integers(-(2**40), 2**40))
@settings(max_examples=60, deadline=None)
def test_an_inflated_coordinate_never_leaves_the_slide(slide, x, y):
    path, _ = slide
    reader = SlideReader(path, plan_reading(inspect(path), 0.25, 24))
    if 0 <= x <= W - 24 and 0 <= y <= H - 24:
        assert reader.patch(x, y).shape == (24, 24, 3)
    else:
        with pytest.raises(BadPatch, match="beyond the slide"):
            reader.patch(x, y)


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -1), (W - 23, 0), (0, H - 23)])
def test_one_pixel_beyond_the_edge_is_beyond(slide, x, y):
    reader = SlideReader(slide[0], plan_reading(inspect(slide[0]), 0.25, 24))
    with pytest.raises(BadPatch, match="beyond the slide"):
        reader.patch(x, y)


def test_what_was_never_scanned_is_background():
    class HalfScanned:
        def read_region(self, location, level, size):
            image = Image.new("RGBA", size, (10, 20, 30, 255))
            image.paste((0, 0, 0, 0), (0, 0, 2, size[1]))
            return image

    pixels = read_rgb(HalfScanned(), 0, 0, 0, 4, 4, (250, 240, 230))
    assert pixels[:, :2].reshape(-1, 3).tolist() == [[250, 240, 230]] * 8
    assert pixels[:, 2:].reshape(-1, 3).tolist() == [[10, 20, 30]] * 8


def test_both_ways_into_openslide_give_the_same_pixels(slide, monkeypatch):
    import openslide

    with openslide.OpenSlide(slide[0]) as handle:
        places = [(0, 0, 0), (1, 2, 3), (1, 401, 203), (0, W - 20, 5), (0, -7, H - 9)]
        first = [read_rgb(handle, *place, 40, 30, (9, 8, 7)) for place in places]
        monkeypatch.setattr("data.wsi.pixels._INTO", None)
        for place, pixels in zip(places, first, strict=True):
            assert np.array_equal(read_rgb(handle, *place, 40, 30, (9, 8, 7)), pixels)
    assert (first[3][:, 20:] == (9, 8, 7)).all(), "beyond the slide"


def test_a_reference_reads_the_same_pixels_in_a_forked_child_too(slide):
    path, _ = slide
    reader = SlideReader(path, plan_reading(inspect(path), 0.7, 24))
    payload, pixels = reader.reference(101, 57), reader.patch(101, 57)
    assert np.array_equal(read_reference(payload), pixels)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(read_reference(payload), pixels) else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[1]", b"\xff", b'{"slide": 3}', b"[" * 100_000,
     b'{"slide":"a.tif","x_px":0,"y_px":0,"level":0,"read_px":9000000,"scale":1.0,"size_px":9000000}',
     b'{"slide":"a.tif","x_px":-1,"y_px":0,"level":0,"read_px":8,"scale":1.0,"size_px":8}',
     b'{"slide":"a.tif","x_px":0,"y_px":0,"level":0,"read_px":8,"scale":NaN,"size_px":8}',
     b'{"slide":"a.tif","x_px":0,"y_px":0,"level":0,"read_px":8,"scale":1e999,"size_px":8}',
     b'{"slide":"a\\u0000.tif","x_px":0,"y_px":0,"level":0,"read_px":8,"scale":1.0,"size_px":8}'],
)  # fmt: skip
def test_a_damaged_reference_is_refused(payload):
    with pytest.raises(ChainError) as caught:
        read_reference(payload)
    assert caught.value.code == ExitCode.DAMAGED


def test_a_reference_into_a_slide_that_is_gone_names_it(slide, tmp_path):
    path, _ = slide
    payload = SlideReader(path, plan_reading(inspect(path), 0.7, 24)).reference(0, 0)
    with pytest.raises(ChainError) as caught:
        read_reference(payload.replace(str(path.parent).encode(), str(tmp_path).encode()))
    assert caught.value.code == ExitCode.MISSING
    assert caught.value.what == f"{tmp_path / 'a.tif'}: cannot be opened; patches lie in it (encoding: reference)"
    assert "put the slide back" in caught.value.todo
