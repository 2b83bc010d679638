"""Temperature: never worse on what it was fitted to, never another answer."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax as reference

from data.patches.labels import GivenLabels
from stages.measures.quality import nll
from stages.scores import Scores
from stages.select.belief import Belief
from stages.select.calibrate import (
    HIGHEST,
    LOWEST,
    Told,
    class_temperatures,
    fit_temperature,
    log_softmax,
    matched_temperature,
)


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


def told(*each):
    """Of each class: labels told to be it, and those of them that are."""
    said, right = np.array(each, float).T
    return Told(said, right)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 60))
def test_no_class_changes_for_having_a_temperature_of_its_own(seed, many, few):
    scores, _ = case(seed, c=2)
    belief = Belief(1.0, class_temperatures(scores, told((many, many * 0.9), (few, few * 0.6))))
    assert np.array_equal(belief.of(scores).argmax(axis=1), belief.best(scores))
    assert np.array_equal(belief.best(scores), Belief(1.0).best(scores))


def test_at_another_accuracy_classes_keep_their_order():
    few = told((10, 9), (10, 5))
    for accuracy in (0.97, 0.85, 0.5, 0.2):
        moved = few.at(accuracy, validation=70, cases=80)
        assert moved.accuracy == pytest.approx(accuracy)
        assert moved.right[0] > moved.right[1]  # the class that was right more often still is
        assert (moved.said == few.said).all()
    # of classes without an error each has its part of them
    np.testing.assert_allclose(told((30, 30), (30, 30)).at(0.9, 70, 70).right, [27, 27], rtol=1e-6)


def test_only_what_chance_hardly_does_is_clearly_above():
    half = told((200, 100))
    assert told((200, 140)).clearly_above(half)
    assert not told((20, 14)).clearly_above(half)
    assert not told((3, 3)).clearly_above(told((50, 35)))  # three of three may be luck
    assert not half.clearly_above(told((200, 140)))


def test_each_class_is_believed_as_often_as_it_is_told_right():
    """Of a class that is nearly always right and one told too often, one temperature knows but the mean."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 2))
    scores = Scores(np.arange(4000, dtype=np.uint64), log_softmax(logits, 1.0).astype(np.float16))
    of_labels = told((500, 475), (500, 300))
    belief = Belief(1.0, class_temperatures(scores, of_labels))
    best, sure = belief.best(scores), belief.of(scores).max(axis=1)
    assert sure.mean() == pytest.approx(of_labels.accuracy, abs=0.01)
    assert [sure[best == k].mean() for k in (0, 1)] == pytest.approx([0.95, 0.6], abs=0.02)
    even = scores.probs(matched_temperature(scores, of_labels.accuracy)).max(axis=1)
    assert even[best == 1].mean() > 0.7


def test_no_class_is_believed_beyond_what_labels_say_of_it():
    """The sure class is nine of ten labels and half of the pool: the pool is told right less often than labels."""
    rng = np.random.default_rng(0)
    scores = Scores(
        np.arange(4000, dtype=np.uint64), log_softmax(rng.normal(0, 1.5, (4000, 2)), 1.0).astype(np.float16)
    )
    belief = Belief(1.0, class_temperatures(scores, told((900, 855), (100, 60))))
    best, sure = belief.best(scores), belief.of(scores).max(axis=1)
    assert [sure[best == k].mean() for k in (0, 1)] == pytest.approx([0.95, 0.6], abs=0.03)
    # and where the pool is told more of the sure class than labels were, not beyond what they say of all
    other = Belief(1.0, class_temperatures(scores, told((100, 95), (900, 630)))).of(scores).max(axis=1)
    assert other.mean() == pytest.approx(0.725, abs=0.01)


def test_of_a_class_with_few_labels_the_others_tell_most():
    # one label told to be the rarer class, and wrong: it is not believed to be wrong always
    assert told((40, 36), (1, 0)).precision()[1] == pytest.approx(5 * (36 / 41) / 6)
    assert told((400, 360), (400, 200)).precision() == pytest.approx([0.9, 0.5], abs=0.01)


def test_a_class_that_nothing_is_told_to_be_has_the_temperature_of_all():
    scores = Scores(np.arange(3, dtype=np.uint64), np.log([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1]]))
    found = class_temperatures(scores, told((4, 4), (4, 3), (0, 0)))
    assert len(found) == 3
    assert all(LOWEST <= one <= HIGHEST for one in found)


def test_a_belief_is_read_back_as_it_was_written(tmp_path):
    for belief in (Belief(0.7), Belief(0.7, (0.5, 1.25)), Belief(1.0, (0.5, 2.0), (1.0, 3.0), "uniform", 0.5)):
        (tmp_path / "quality.json").write_text(json.dumps(belief.plain()))
        assert Belief.load(tmp_path) == belief
