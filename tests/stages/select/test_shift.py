"""Shares of the classes in the pool: as among the labels unless they cannot be, and then nearer to the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.select.shift import shares_in_pool, unlike

CLASSES = 5


def told_rates(rng: np.random.Generator, right: float, classes: int = CLASSES) -> np.ndarray:
    """How often each class (row) is told to be each (column): right so often, else anything."""
    wrong = rng.dirichlet(np.ones(classes), classes)
    return right * np.eye(classes) + (1 - right) * wrong


def labelled(rng: np.random.Generator, rates: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.array([rng.multinomial(n, row) for n, row in zip(counts, rates, strict=True)], float)


def test_labels_drawn_from_the_pool_are_as_it_is() -> None:
    """However few they are and however badly they are told: hardly ever is the pool called unlike them."""
    called = 0
    for seed in range(500):
        rng = np.random.default_rng(seed)
        shares, rates = rng.dirichlet(np.full(CLASSES, 2)), told_rates(rng, rng.uniform(0.4, 1))
        counts = rng.multinomial(rng.integers(20, 400), shares)
        called += unlike(labelled(rng, rates, counts), 5000 * shares @ rates)
    assert called <= 5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.7, 1.0))
def test_of_equally_many_labels_a_class_the_pools_shares_come_nearer(seed: int, right: float) -> None:
    rng = np.random.default_rng(seed)
    truth, rates = np.array([0.03, 0.5, 0.1, 0.34, 0.03]), told_rates(rng, right)
    counts, told = labelled(rng, rates, np.full(CLASSES, 20)), 5000 * truth @ rates
    found, among = shares_in_pool(counts, told), np.full(CLASSES, 1 / CLASSES)
    assert unlike(counts, told)
    assert found.sum() == pytest.approx(1)
    assert np.abs(found - truth).sum() < 0.75 * np.abs(among - truth).sum()


def test_where_nothing_is_mistaken_the_shares_are_what_is_told() -> None:
    truth = np.array([0.01, 0.59, 0.2, 0.1, 0.1])
    found = shares_in_pool(np.diag(np.full(CLASSES, 1e6)), truth)
    np.testing.assert_allclose(found, truth, atol=1e-4)


def test_a_class_without_labels_has_no_share() -> None:
    counts = np.diag([10.0, 10.0, 10.0, 10.0, 0.0])
    found = shares_in_pool(counts, np.array([0.05, 0.7, 0.2, 0.05, 0.0]))
    assert found[4] == 0
    assert found.sum() == pytest.approx(1)


def test_the_order_of_the_classes_does_not_matter() -> None:
    rng, order = np.random.default_rng(3), np.array([3, 0, 4, 1, 2])
    rates, truth = told_rates(rng, 0.8), np.array([0.03, 0.5, 0.1, 0.34, 0.03])
    counts, told = labelled(rng, rates, np.full(CLASSES, 12)), truth @ rates
    one, other = shares_in_pool(counts, told), shares_in_pool(counts[np.ix_(order, order)], told[order])
    np.testing.assert_allclose(other, one[order])
