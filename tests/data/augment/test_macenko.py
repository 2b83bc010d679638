"""Macenko: finds the dyes that were used, brings two laboratories together, leaves glass alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.augment.macenko import MIN_PIXELS, Stains, fit, normalised, stained_pixels, transfer
from tests.dyed import EOSIN, HAEMATOXYLIN, dyed


def found(*images: np.ndarray) -> Stains:
    stains = fit(map(stained_pixels, images))
    assert stains is not None
    return stains


def test_it_finds_the_dyes_that_were_used() -> None:
    stains = found(dyed(HAEMATOXYLIN, EOSIN))
    for row, dye in zip(stains.directions, (HAEMATOXYLIN, EOSIN), strict=True):
        angle = np.degrees(np.arccos(np.clip(np.dot(row, dye / np.linalg.norm(dye)), -1, 1)))
        assert angle < 4
    assert np.linalg.norm(stains.directions, axis=1) == pytest.approx([1, 1])


def test_twice_the_dye_is_twice_the_strength() -> None:
    once, twice = found(dyed(HAEMATOXYLIN, EOSIN, 0.6)), found(dyed(HAEMATOXYLIN, EOSIN, 1.2))
    assert np.divide(twice.tops, once.tops) == pytest.approx([2, 2], rel=0.12)


def test_two_laboratories_move_closer() -> None:
    target = found(dyed(HAEMATOXYLIN, EOSIN, seed=1))
    one = dyed(np.array([0.75, 0.60, 0.20]), np.array([0.30, 0.90, 0.20]), 0.6, seed=2)
    other = dyed(np.array([0.55, 0.75, 0.40]), np.array([0.10, 0.95, 0.35]), 1.3, seed=2)
    after = [normalised(image, transfer(found(image), target)).astype(float) for image in (one, other)]
    before = np.abs(one.astype(float) - other).mean()
    assert np.abs(after[0] - after[1]).mean() < before / 4


def test_twice_is_nearly_once() -> None:
    target = found(dyed(HAEMATOXYLIN, EOSIN, seed=1))
    image = dyed(np.array([0.75, 0.60, 0.20]), EOSIN, 0.7, seed=2)
    once = normalised(image, transfer(found(image), target))
    twice = normalised(once, transfer(found(once), target))
    moved = [np.abs(a.astype(float) - b).mean() for a, b in ((image, once), (once, twice))]
    assert moved[1] < 3 < moved[0] / 5


def test_its_own_stain_changes_only_what_is_out_of_the_plane() -> None:
    image = dyed(HAEMATOXYLIN, EOSIN)
    own = found(image)
    assert np.abs(normalised(image, transfer(own, own)).astype(int) - image).mean() < 1.5


def test_white_stays_white() -> None:
    matrix = transfer(found(dyed(EOSIN, HAEMATOXYLIN)), found(dyed(HAEMATOXYLIN, EOSIN, 1.4)))
    white = np.full((8, 8, 3), 255, np.uint8)
    assert np.array_equal(normalised(white, matrix), white)


@pytest.mark.parametrize(
    "image",
    [
        np.full((64, 64, 3), 255, np.uint8),
        np.full((64, 64, 3), 243, np.uint8),
        np.full((64, 64, 3), 0, np.uint8),
        np.full((64, 64, 3), (120, 80, 150), np.uint8),
        np.random.default_rng(0).integers(225, 256, (64, 64, 3), np.uint8),
        dyed(HAEMATOXYLIN, HAEMATOXYLIN),
        dyed(HAEMATOXYLIN, EOSIN)[:20, :20],
    ],
    ids=["white", "glass", "black", "one colour", "near-white", "one dye", "few pixels"],
)
def test_too_little_stain_gives_no_fit(image: np.ndarray) -> None:
    assert fit([stained_pixels(image)]) is None


def test_no_pixel_at_all_gives_no_fit() -> None:
    assert fit([]) is None
    assert fit([np.empty((0, 3), np.float32)]) is None


@given(st.integers(0, 2**31), st.integers(1, 255), st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_whatever_it_is_given_it_fits_finitely_or_not_at_all(seed: int, spread: int, base: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.clip(base + rng.integers(0, spread + 1, (40, 40, 3)), 0, 255).astype(np.uint8)
    stains = fit([stained_pixels(image)])
    if stains is not None:
        assert np.isfinite(transfer(stains, found(dyed(HAEMATOXYLIN, EOSIN)))).all()
        assert min(stains.tops) > 0
        assert len(stained_pixels(image)) >= MIN_PIXELS
        assert Stains.of(stains.plain()) == stains
