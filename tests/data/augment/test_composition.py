"""The short way through albumentations' operations draws, and gives, what the long one does."""

import random

import numpy as np
import pytest

from benchmarks.noise import composed
from data.augment import pipeline
from data.augment.composition import Composition, Turn
from data.augment.noise import PRESETS, Noise

# grain has numbers of its own: test_grain.py
POLICIES = {
    "weak": PRESETS["weak"],
    "strong": PRESETS["strong"] | {"grain": 0.0},
    "crop": {"crop": 0.2, "cutout": 0.9, "shift": 0.3},
}


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint8, 1), (np.float32, 1)])
def test_every_pixel_is_that_of_compose(name: str, dtype: type, channels: int) -> None:
    noise, eight_bit = Noise(**POLICIES[name]), dtype is np.uint8
    short, long = Composition(pipeline._transforms(noise, eight_bit, 32)), composed(noise, 32, eight_bit)
    patch = np.random.default_rng(0).integers(0, 256, (32, 32, channels)).astype(np.uint8)
    patch = patch if eight_bit else (patch / np.float32(255)).astype(np.float32)
    before = patch.copy()
    for seed in range(60):
        expected = long(patch, np.random.default_rng(seed), random.Random(seed)).reshape(patch.shape)
        found = short(patch, np.random.default_rng(seed), random.Random(seed)).reshape(patch.shape)
        assert np.array_equal(found, expected), seed
        assert found.dtype == expected.dtype
    assert np.array_equal(patch, before), "a patch is not drawn upon"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_turn_is_that_of_numpy_whatever_the_sides(dtype: type, channels: int) -> None:
    image = np.arange(5 * 7 * channels).reshape(5, 7, channels).astype(dtype)
    for factor in range(4):
        assert np.array_equal(Turn().apply(image, factor), np.rot90(image, factor)), factor
