"""Stain jitter: a change of stain, nothing else."""

import numpy as np

from data.augment.stain import jitter


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
