"""A slide whose resolution is not certain is refused by name, with what to do."""

import math

import pytest

from data.errors import ChainError, ExitCode
from data.wsi.slide import background_of, inspect
from tests.data.wsi.tiny_tiff import picture, write_tiff


def slide(tmp_path, mpp):
    path = tmp_path / "a.tif"
    write_tiff(path, [picture(128, 96), picture(32, 24)], mpp)
    return path


def test_what_a_slide_says(tmp_path):
    info = inspect(slide(tmp_path, 0.2520))
    assert info.vendor == "generic-tiff"
    assert math.isclose(info.mpp, 0.252, rel_tol=1e-6)
    assert info.mpp_from == "slide"
    assert info.size_px == (128, 96)
    assert info.level_sizes_px == ((128, 96), (32, 24))
    assert info.downsamples == (1.0, 4.0)
    assert info.background == (255, 255, 255)


def test_a_slide_without_mpp_is_refused_unless_it_is_stated(tmp_path):
    path = slide(tmp_path, None)
    with pytest.raises(ChainError) as caught:
        inspect(path)
    assert caught.value.code == ExitCode.BAD_DATA
    assert "a.tif" in caught.value.what
    assert "missing_mpp" in caught.value.todo
    assert "table" in caught.value.todo
    assert inspect(path, missing_mpp=0.3).mpp == 0.3
    assert inspect(path, missing_mpp=0.3).mpp_from == "missing_mpp"
    assert inspect(path, stated_mpp=0.4, missing_mpp=0.3).mpp == 0.4


def test_missing_mpp_is_not_for_slides_that_say_theirs(tmp_path):
    path = slide(tmp_path, 0.5)
    assert inspect(path, missing_mpp=0.3).mpp == pytest.approx(0.5)
    assert inspect(path, stated_mpp=0.3).mpp == 0.3


@pytest.mark.parametrize(("mpp", "words"), [((0.5, 0.52), "0.5 x 0.52"), (352.8, "352.796"), (0.01, "0.01 x 0.01")])
def test_unequal_and_absurd_resolutions_are_refused_unless_the_table_states_one(tmp_path, mpp, words):
    path = slide(tmp_path, mpp)
    with pytest.raises(ChainError, match=r"a\.tif") as caught:
        inspect(path, missing_mpp=0.5)
    assert words in caught.value.what
    assert inspect(path, stated_mpp=0.5).mpp == 0.5


def test_nearly_equal_resolutions_are_averaged(tmp_path):
    assert inspect(slide(tmp_path, (0.5, 0.504))).mpp == pytest.approx(math.sqrt(0.5 * 0.504))


@pytest.mark.parametrize("text", [None, "", "xyz", "ff", "ffffffff"])
def test_a_background_that_is_no_colour_is_white(text):
    assert background_of(text) == (255, 255, 255)


def test_a_background_is_read():
    assert background_of("0a141e") == (10, 20, 30)
