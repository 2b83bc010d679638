"""The paired bootstrap against one written out draw by draw, and the laws it keeps."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t
from sklearn import metrics

from stages.measures.paired import compare, tails

BY_HAND = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": lambda label, said: metrics.recall_score(
        label, said, average="macro", labels=np.unique(label), zero_division=0
    ),
    "macro_f1": lambda label, said: metrics.f1_score(label, said, average="macro"),
}


def case(n=240, patients=24, seed=0, spread=0.3, lead=0.05):
    """Two models whose errors go by patient."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, patients, n)
    label = rng.integers(0, 3, n)
    hard = rng.normal(0, spread, patients)[group]
    first = np.where(rng.random(n) < 0.7 + hard, label, (label + 1) % 3)
    second = np.where(rng.random(n) < 0.7 + lead + hard, label, (label + 2) % 3)
    return label, first, second, group


@pytest.mark.parametrize("metric", BY_HAND)
def test_is_the_bootstrap_over_groups_written_out(metric):
    label, first, second, group = case()
    found = compare(metric, label, first, second, group, 3, 0.0, 0)
    measure, rng = BY_HAND[metric], np.random.default_rng(5)
    assert found.difference == pytest.approx(measure(label, second) - measure(label, first))
    members = [np.flatnonzero(group == g) for g in np.unique(group)]
    drawn = []
    for _ in range(400):
        rows = np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])
        drawn.append(measure(label[rows], second[rows]) - measure(label[rows], first[rows]))
    low, high = np.quantile(drawn, tails(24))
    assert (found.by, found.groups, found.n) == ("group", 24, 240)
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)
    assert found.worse == pytest.approx(np.mean(np.array(drawn) < 0), abs=0.05)


@pytest.mark.parametrize(("lost", "sure"), [(0, 0.5), (1, 0.75), (2, 0.875), (3, 0.9375)])
@pytest.mark.parametrize("each", [1, 40])
def test_a_few_that_are_lost_are_as_likely_as_coins_that_fall_alike(lost, sure, each):
    """Of 14 patches, or patients, no other one changes. All alike has 1 in 2^n, which counts half."""
    label = np.zeros(14 * each, int)
    second = np.repeat((np.arange(14) < lost).astype(int), each)
    found = compare("accuracy", label, label, second, np.repeat(np.arange(14), each), 2, 0.0, 0)
    assert found.worse == pytest.approx(sure, abs=0.02)


@pytest.mark.parametrize("metric", BY_HAND)
def test_is_no_surer_of_a_loss_than_models_that_change_places_in_each_patient(metric):
    label, second, first, group = case(n=60, patients=6, seed=9, lead=0.05)  # the second is the worse
    measure = BY_HAND[metric]
    seen = measure(label, second) - measure(label, first)
    drawn = []
    for places in product([False, True], repeat=6):
        swap = np.array(places)[np.unique(group, return_inverse=True)[1]]
        one, other = np.where(swap, second, first), np.where(swap, first, second)
        drawn.append(measure(label, other) - measure(label, one))
    below, at = np.array(drawn) < seen - 1e-9, np.isclose(drawn, seen)
    found = compare(metric, label, first, second, group, 3, 0.0, 0)
    assert found.difference < 0 <= found.high
    assert found.worse <= 1 - (below.mean() + at.mean() / 2) + 0.02
    assert found.worse > 0.6


@pytest.mark.parametrize(("lost", "patients", "sure"), [(5, 5, 1.0), (5, 14, 1 - (9 / 14) ** 14 / 2)])
def test_where_the_interval_is_below_zero_a_loss_is_as_sure_as_the_bootstrap_finds_it(lost, patients, sure):
    """Of five patients who all lose, a permutation test alone could not be surer than 0.98."""
    label, patient = np.zeros(20 * patients, int), np.repeat(np.arange(patients), 20)
    second = ((patient < lost) & (np.arange(20 * patients) % 20 < 4)).astype(int)
    found = compare("accuracy", label, label, second, patient, 2, 0.0, 0)
    assert found.high < 0
    assert found.worse == pytest.approx(sure, abs=0.003)


def test_patients_that_fail_together_widen_the_interval():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(20), 50)
    label = rng.integers(0, 2, 1000)
    first = label.copy()
    second = np.where(np.isin(patient, [1, 2, 3]), 1 - label, label)  # wrong in whole patients
    together = compare("accuracy", label, first, second, patient, 2, 0.0, 0)
    alone = compare("accuracy", label, first, second, np.arange(1000), 2, 0.0, 0)
    assert together.difference == alone.difference
    assert together.high - together.low > 3 * (alone.high - alone.low)


def test_a_model_is_as_good_as_itself():
    label, first, _, group = case()
    found = compare("macro_f1", label, first, first, group, 3, 0.0, 0)
    assert (found.difference, found.low, found.high, found.worse) == (0, 0, 0, 0.5)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(sorted(BY_HAND)), st.floats(0, 0.3))
def test_order_does_not_matter_and_a_tolerance_only_helps(seed, metric, tolerance):
    label, first, second, group = case(n=60, patients=8, seed=seed)
    order = np.random.default_rng(seed).permutation(len(label))
    straight = compare(metric, label, first, second, group, 3, 0.0, 7)
    assert straight == compare(metric, label[order], first[order], second[order], group[order], 3, 0.0, 7)
    lenient = compare(metric, label, first, second, group, 3, tolerance, 7)
    assert lenient.worse <= straight.worse
    assert (lenient.difference, lenient.low, lenient.high) == (straight.difference, straight.low, straight.high)


def test_a_loss_far_within_the_tolerance_is_no_loss_however_little_it_owes_to_chance():
    label = np.zeros(300, np.int64)
    first, second = label.copy(), label.copy()
    first[:24], second[20:52] = 1, 1  # of 300 right 276 and 268: chance alone rarely does as much
    found = compare("accuracy", label, first, second, np.arange(300), 2, 0.0, 7)
    assert found.worse > 0.7
    assert compare("accuracy", label, first, second, np.arange(300), 2, 0.2, 7).worse < 0.01


def test_who_is_first_only_turns_the_sign():
    label, first, second, group = case()
    one = compare("accuracy", label, first, second, group, 3, 0.0, 0)
    other = compare("accuracy", label, second, first, group, 3, 0.0, 0)
    assert one.difference == pytest.approx(-other.difference)
    assert one.low == pytest.approx(-other.high, abs=0.01)
    assert one.worse == pytest.approx(1 - other.worse, abs=0.03)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Independent patches, a true difference of 4 points: 95 % intervals, so far below 90 % would be a fault."""
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        label = np.zeros(300, int)
        first, second = (np.where(rng.random(300) < share, 0, 1) for share in (0.76, 0.80))
        found = compare("accuracy", label, first, second, np.arange(300), 2, 0.0, seed)
        inside += found.low <= 0.04 <= found.high
    assert inside >= 53


def test_the_interval_of_few_patients_holds_the_truth_nearly_as_often_as_it_says(monkeypatch):
    """Six patients of whom each gains or loses for itself: docs/methods.md has both figures."""
    inside = {"plain": 0, "told": 0}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        gained = np.rint(rng.normal(0, 12, 6)).astype(int).clip(-50, 50)
        patient, place = np.repeat(np.arange(6), 50), np.tile(np.arange(50), 6)
        first, second = ((place < sign * gained[patient]).astype(int) for sign in (1, -1))
        for name, ends in (("plain", lambda units: (0.025, 0.975)), ("told", tails)):
            monkeypatch.setattr("stages.measures.paired.tails", ends)
            found = compare("accuracy", np.zeros(300, int), first, second, patient, 2, 0.0, seed)
            inside[name] += found.low <= 0 <= found.high
    assert inside == pytest.approx({"plain": 85, "told": 92}, abs=2)
    assert inside["told"] >= 88


def test_tails_are_students_widened_and_of_many_those_of_a_percentile_interval():
    for units in (2, 5, 6, 40):
        least, most = tails(units)
        assert norm.ppf(least) == pytest.approx(-np.sqrt(units / (units - 1)) * t.ppf(0.975, units - 1), rel=1e-4)
        assert most == pytest.approx(1 - least)
    assert tails(100_000) == pytest.approx((0.025, 0.975), abs=1e-5)
    assert tails(1) == (0, 1)
