"""Keyed randomness: a number is a function of what it is for."""

import numpy as np

from data.keys import generator, seed_of, uniform


def test_a_patch_keeps_its_number_whatever_the_company():
    ids = np.random.default_rng(0).integers(0, 2**63, 1000).astype(np.uint64)
    numbers = uniform(ids, "labels", 3)
    assert np.array_equal(uniform(ids[::-1], "labels", 3)[::-1], numbers)
    assert np.array_equal(uniform(ids[5:9], "labels", 3), numbers[5:9])
    assert not np.array_equal(uniform(ids, "labels", 4), numbers)


def test_numbers_are_uniform_even_for_consecutive_ids():
    numbers = uniform(np.arange(100_000, dtype=np.uint64), "x")
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, 20, (0, 1))[0]
    assert np.abs(counts - 5000).max() < 5 * 5000**0.5
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.02


def test_keys_of_other_types_are_other_keys():
    assert seed_of(1) != seed_of("1")
    assert generator("a", 1).integers(0, 2**60) == generator("a", 1).integers(0, 2**60)
