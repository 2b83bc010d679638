"""Stain jitter: a change of stain, nothing else."""

import numpy as np
import pytest

from data.augment.stain import STAINS, UNMIX, jitter, restained


def test_no_strength_changes_nothing() -> None:
    patch = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    drawn = jitter(patch, 0.0, np.random.default_rng(1))
    assert np.abs(drawn.astype(int) - patch).max() <= 1


def test_it_is_a_matrix_on_optical_density() -> None:
    # two patches of optical density d and 2 d - offset must map consistently: check linearity on three shades
    rng = np.random.default_rng
    shades = np.array([[[250, 250, 250], [150, 110, 160], [70, 40, 110]]], np.uint8)
    drawn = jitter(shades, 0.2, rng(4)).astype(float)
    density, restained = -np.log((shades + 1.0) / 256), -np.log((drawn + 1.0) / 256)
    # the same map, found from many other colours by least squares, predicts these three
    others = rng(0).integers(40, 230, (1, 500, 3), np.uint8)
    o_density = -np.log((others[0] + 1.0) / 256)
    o_restained = -np.log((jitter(others, 0.2, rng(4))[0] + 1.0) / 256)
    design = np.c_[o_density, np.ones(500)]
    matrix, *_ = np.linalg.lstsq(design, o_restained, rcond=None)
    predicted = np.c_[density[0], np.ones(3)] @ matrix
    assert np.abs(predicted - restained[0]).max() < 0.06


def test_white_stays_nearly_white() -> None:
    white = np.full((8, 8, 3), 255, np.uint8)
    for seed in range(10):
        assert jitter(white, 0.1, np.random.default_rng(seed)).min() > 235


@pytest.mark.parametrize("seed", range(5))
def test_the_fast_way_is_the_plain_one_within_rounding(seed: int) -> None:
    """Oracle: the definition in double precision, rounded to the nearest."""
    rng = np.random.default_rng(seed)
    patch = rng.integers(0, 256, (40, 50, 3), np.uint8)
    mix, shift = (UNMIX * rng.uniform(0.5, 1.5, 3)) @ STAINS, rng.uniform(-0.1, 0.1, 3)
    density = -np.log((patch + 1.0) / 256) @ mix + shift
    plain = np.clip(256 * np.exp(-density) - 1, 0, 255)
    drawn = restained(patch, mix, shift)
    assert drawn.dtype == np.uint8
    assert drawn.shape == patch.shape
    # half a step, and what seven digits leave undecided at the half
    assert np.abs(drawn - plain).max() <= 0.5 + 1e-3


def test_all_colours_that_no_matrix_moves_come_back() -> None:
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert np.array_equal(restained(every, np.eye(3), np.zeros(3)), every)
