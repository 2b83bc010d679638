"""Temperature: never worse on what it was fitted to, never another answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax as reference

from data.labels import GivenLabels
from stages.quality import nll
from stages.scores import Scores
from stages.select.calibrate import HIGHEST, LOWEST, fit_temperature, log_softmax, matched_temperature


def case(seed, n=400, c=5, sharpness=1.0):
    """Labels drawn from the model's own probabilities, the scores then sharpened: the true temperature is known."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, c))
    probs = np.exp(reference(logits, axis=1))
    label = np.array([rng.choice(c, p=row) for row in probs])
    ids = np.arange(n, dtype=np.uint64) * 3
    return Scores(ids, reference(logits * sharpness, axis=1).astype(np.float16)), GivenLabels(
        ids, label.astype(np.int16)
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 40), st.integers(1, 200))
def test_temperature_never_raises_nll(seed, sharpness, n):
    scores, labels = case(seed, n=n, sharpness=sharpness)
    temperature = fit_temperature(scores, labels)
    assert LOWEST <= temperature <= HIGHEST
    assert nll(log_softmax(scores.log_probs, temperature), labels.label) <= nll(
        log_softmax(scores.log_probs, 1.0), labels.label
    )
    assert np.array_equal(scores.probs(temperature).argmax(axis=1), scores.probs(1.0).argmax(axis=1))


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_finds_the_temperature_scores_were_sharpened_by(sharpness):
    temperature = fit_temperature(*case(0, n=5000, sharpness=sharpness))
    assert temperature == pytest.approx(sharpness, rel=0.1)


def test_no_patch_beats_the_fitted_temperature_on_a_grid():
    scores, labels = case(1, sharpness=2.0)
    best = nll(log_softmax(scores.log_probs, fit_temperature(scores, labels)), labels.label)
    for temperature in np.geomspace(LOWEST, HIGHEST, 300):
        assert best <= nll(log_softmax(scores.log_probs, temperature), labels.label) + 1e-7


def test_without_labels_nothing_is_changed():
    scores, _ = case(0)
    assert fit_temperature(scores, GivenLabels(np.empty(0, np.uint64), np.empty(0, np.int16))) == 1.0


def test_labels_are_joined_by_id():
    scores, labels = case(2, sharpness=3.0)
    some = np.arange(0, 400, 3)
    alone = Scores(scores.ids[some], scores.log_probs[some])
    given_some = GivenLabels(labels.ids[some], labels.label[some])
    assert fit_temperature(scores, given_some) == fit_temperature(alone, given_some)


@pytest.mark.parametrize("accuracy", [0.4, 0.7, 0.95])
def test_confidence_is_brought_to_an_accuracy(accuracy):
    rng = np.random.default_rng(0)
    scores = Scores(np.arange(500, dtype=np.uint64), log_softmax(rng.normal(0, 2, (500, 4)), 1.0).astype(np.float16))
    assert scores.probs(matched_temperature(scores, accuracy)).max(axis=1).mean() == pytest.approx(accuracy, abs=0.01)


def test_an_accuracy_out_of_reach_ends_at_the_limit():
    flat = Scores(np.arange(3, dtype=np.uint64), np.zeros((3, 2), np.float16))
    assert matched_temperature(flat, 0.9) == pytest.approx(LOWEST, rel=0.01)
