"""Alignment is the published formula, and repeated it reaches the shares it is given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from stages.scores import Scores
from stages.select.alignment import aligned, class_weights, tempered
from stages.select.belief import Belief

SEEDS = st.integers(0, 2**32)


def beliefs(seed, n=300, c=4, tilt=1.5):
    rng = np.random.default_rng(seed)
    return softmax(rng.normal(0, 2, (n, c)) + rng.normal(0, tilt, c), axis=1).astype(np.float32)


def shares(seed, c=4):
    return np.random.default_rng(seed).dirichlet(np.full(c, 3.0))


@given(SEEDS)
def test_one_step_is_remixmatch(seed):
    probs, target = beliefs(seed), shares(seed)
    by_hand = probs * (target / probs.mean(axis=0, dtype=np.float64))
    by_hand /= by_hand.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(aligned(probs, class_weights(probs, target)), by_hand, atol=2e-6)


@settings(deadline=None)
@given(SEEDS)
def test_many_steps_reach_the_given_shares_and_one_comes_nearer(seed):
    probs, target = beliefs(seed), shares(seed)

    def away(steps):
        return np.abs(aligned(probs, class_weights(probs, target, steps)).mean(axis=0) - target).max()

    assert away(1000) < 1e-4
    assert away(1) <= np.abs(probs.mean(axis=0) - target).max() + 1e-6


@given(SEEDS)
def test_order_of_the_pool_does_not_matter(seed):
    probs, target = beliefs(seed), shares(seed)
    order = np.random.default_rng(seed).permutation(len(probs))
    assert np.allclose(class_weights(probs, target, 5), class_weights(probs[order], target, 5), rtol=1e-6)


@given(SEEDS)
def test_what_is_aligned_stays_and_stays_a_distribution(seed):
    probs = beliefs(seed)
    mean = probs.mean(axis=0, dtype=np.float64)
    weights = class_weights(probs, mean / mean.sum(), 10)
    assert np.allclose(weights, weights[0])
    some = aligned(probs, np.random.default_rng(seed).random(4) + 0.01)
    assert some.dtype == np.float32
    assert np.allclose(some.sum(axis=1), 1, atol=1e-5)


@given(SEEDS)
def test_the_best_class_is_the_one_most_believed_in_after_the_alignment(seed):
    log_probs = np.log(beliefs(seed)).astype(np.float16)
    scores = Scores(np.arange(len(log_probs), dtype=np.uint64), log_probs)
    belief = Belief(2.0, weights=(1.0, 0.05, 0.5, 0.2))
    assert np.array_equal(belief.best(scores), belief.of(scores).argmax(axis=1))


def test_classes_without_belief_or_share():
    probs = np.array([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]], np.float32)
    weights = class_weights(probs, np.full(3, 1 / 3), 50)
    assert np.isfinite(weights).all()
    gone = aligned(probs, np.array([1.0, 0.0, 0.0]))
    assert np.array_equal(gone, np.array([[1, 0, 0], [1, 0, 0]], np.float32))
    lost = aligned(np.array([[0.0, 1.0]], np.float32), np.array([1.0, 0.0]))  # believes in nothing that is left
    assert np.array_equal(lost, np.array([[0, 1]], np.float32))
    assert np.array_equal(class_weights(np.empty((0, 3), np.float32), np.full(3, 1 / 3)), np.ones(3))


@pytest.mark.parametrize(("exponent", "wanted"), [(1.0, [0.64, 0.32, 0.04]), (0.0, [1 / 3] * 3), (0.5, None)])
def test_an_exponent_below_one_draws_shares_together(exponent, wanted):
    share = np.array([0.64, 0.32, 0.04])
    found = tempered(share, exponent)
    assert found.sum() == pytest.approx(1)
    if wanted is None:
        assert 1 / 3 < found[0] < 0.64
        assert 0.04 < found[2] < 1 / 3
    else:
        assert found == pytest.approx(wanted)
    assert np.array_equal(tempered(np.array([0.5, 0.5, 0.0]), 0.0), [0.5, 0.5, 0.0])
