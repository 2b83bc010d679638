"""Grain is Gaussian, as strong as stated, each value's own, and the same in every process."""

import numpy as np
import pytest

from data.augment import grain
from data.augment.noise import Noise
from data.augment.pipeline import NoiseDrawer

GREY = 128


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("deviation", [2.5, 12.0])
def test_it_has_no_mean_and_the_stated_deviation_wherever_it_is_cut(channels: int, deviation: float) -> None:
    flat = np.full((64, 64, channels), GREY, np.uint8)
    for place in (0, 12_345, grain.PLACES - 1):
        added = grain.grained(flat, place, deviation).astype(float) - GREY
        assert abs(added.mean()) < 4 * deviation / 64
        assert added.std() == pytest.approx(np.sqrt(deviation**2 + 1 / 12), rel=0.06)  # rounded to grey values
        assert np.mean(np.abs(added) > 2 * deviation) == pytest.approx(0.05, abs=0.03)


def test_neighbours_and_channels_have_nothing_in_common() -> None:
    added = grain.grained(np.zeros((128, 128, 3), np.float32), 99, 1.0)
    for one, other in [(added[1:], added[:-1]), (added[:, 1:], added[:, :-1]), (added[..., 0], added[..., 1])]:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.03


def test_other_places_are_other_grain_even_one_apart() -> None:
    flat = np.zeros((64, 64, 1), np.float32)
    one, other = grain.grained(flat, 500, 1.0), grain.grained(flat, 501, 1.0)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.08


def test_values_of_8_bits_end_at_black_and_white_and_hounsfield_units_become_real_numbers() -> None:
    black = grain.grained(np.zeros((32, 32, 3), np.uint8), 7, 50.0)
    assert black.dtype == np.uint8
    assert black.min() == 0
    assert 0 < black.max() < 250, "nothing wraps round"
    hu = grain.grained(np.full((32, 32, 4), -1000, np.int16), 7, 20.0)
    assert hu.dtype == np.float32
    assert hu.mean() == pytest.approx(-1000, abs=2)


def test_a_patch_of_any_size_finds_its_numbers_and_nobody_writes_to_them() -> None:
    large = grain.grained(np.zeros((600, 600, 3), np.float32), grain.PLACES - 1, 1.0)
    assert large.std() == pytest.approx(1, rel=0.01)
    with pytest.raises(ValueError, match="read-only"):
        grain.row(27)[0] = 1.0


def test_every_seed_has_its_own_strength_and_place_within_what_is_stated() -> None:
    draw, flat = NoiseDrawer(Noise(grain=1.0), 3), np.full((48, 48, 3), GREY, np.uint8)
    views = [draw(flat, seed) for seed in range(40)]
    deviations = [(view.astype(float) - GREY).std() for view in views]
    assert 0.01 * 255 * 0.9 < min(deviations) < 0.02 * 255
    assert 0.04 * 255 < max(deviations) < 0.05 * 255 * 1.1
    assert len({view.tobytes() for view in views}) == len(views)
