"""Figures agree with the program's own, resamples with bootstraps written out or taken from SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.label_efficiency.intervals import (
    METRICS,
    Predictions,
    interval,
    judged,
    mean_over_seeds,
    point,
    redrawn,
    resampled,
    tallies,
)
from stages.measures.quality import evaluate


def said(n: int, classes: int, groups: int, seed: int, skill: float = 1.5) -> Predictions:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    log_probs = rng.normal(size=(n, classes))
    log_probs[np.arange(n), label] += skill
    log_probs -= np.log(np.exp(log_probs).sum(1, keepdims=True))
    return Predictions(np.arange(n, dtype=np.uint64), log_probs, label, rng.integers(0, groups, n))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(2, 5), st.integers(1, 20), st.integers(0, 99))
def test_figures_are_those_of_the_program(n: int, classes: int, groups: int, seed: int) -> None:
    one = said(n, classes, groups, seed)
    wanted = evaluate(one.log_probs, one.label, [str(c) for c in range(classes)])
    for name, value in zip(METRICS, point(tallies(one)), strict=True):
        assert value == pytest.approx(wanted[name], abs=2e-6)


def test_resamples_are_those_of_a_bootstrap_written_out() -> None:
    one = said(400, 3, 25, 0)
    rng = np.random.default_rng(1)
    plain = []
    for _ in range(600):
        chosen = rng.choice(np.unique(one.group), len(np.unique(one.group)))
        rows = np.concatenate([np.flatnonzero(one.group == group) for group in chosen])
        figures = evaluate(one.log_probs[rows], one.label[rows], ["a", "b", "c"])
        plain.append([figures[name] for name in METRICS])
    ours = resampled(tallies(one), "test", draws=4000)
    np.testing.assert_allclose(ours.mean(0), np.mean(plain, 0), atol=0.005)
    np.testing.assert_allclose(ours.std(0), np.std(plain, 0), rtol=0.12)
    np.testing.assert_allclose(interval(ours), np.quantile(plain, [0.025, 0.975], axis=0), atol=0.02)


def test_without_groups_it_is_scipys_percentile_interval() -> None:
    one = said(300, 4, 1, 2)
    one = Predictions(one.ids, one.log_probs, one.label, np.arange(300))
    right = (one.log_probs.argmax(1) == one.label).astype(float)
    wanted = stats.bootstrap((right,), np.mean, method="percentile", n_resamples=4000, rng=0).confidence_interval
    ours = interval(resampled(tallies(one), "test", draws=4000))[:, METRICS.index("accuracy")]
    np.testing.assert_allclose(ours, [wanted.low, wanted.high], atol=0.01)


def test_patches_of_one_patient_are_worth_less_than_as_many_patients() -> None:
    one = said(60, 3, 1, 3)
    copies = Predictions(*(np.repeat(v, 20, axis=0) for v in (one.ids, one.log_probs, one.label, np.arange(60))))
    alone = Predictions(copies.ids, copies.log_probs, copies.label, np.arange(len(copies)))
    grouped, single = (np.diff(interval(resampled(tallies(p), "test")), axis=0)[0, 0] for p in (copies, alone))
    assert grouped > 3 * single


def test_a_resample_depends_on_its_keys_alone() -> None:
    groups = tallies(said(100, 3, 10, 4))
    np.testing.assert_array_equal(resampled(groups, "a", 1, draws=50), resampled(groups, "a", 1, draws=50))
    assert (resampled(groups, "a", 1, draws=50) != resampled(groups, "b", 1, draws=50)).any()


def test_the_mean_over_seeds_holds_the_chance_between_them() -> None:
    rng = np.random.default_rng(5)
    alike = [0.7 + 0.01 * rng.normal(size=(4000, 4)) for _ in range(3)]
    apart = [draws + shift for draws, shift in zip(alike, (-0.1, 0.0, 0.1), strict=True)]
    # two stages: the variance of the mean of three is that within, over three, and that between, over three
    between = np.var([-0.1, 0.0, 0.1])
    np.testing.assert_allclose(mean_over_seeds(alike, "s").std(0), 0.01 / 3**0.5, rtol=0.1)
    np.testing.assert_allclose(mean_over_seeds(apart, "s").var(0), (0.01**2 + between) / 3, rtol=0.1)


def test_what_is_not_defined_is_null_and_not_a_number() -> None:
    one = said(9, 3, 6, 6)
    facts, groups = judged(Predictions(one.ids, one.log_probs, one.label, one.group), "x")
    assert facts["n"] == 9
    assert facts["groups"] == len(np.unique(one.group)) >= 5
    assert redrawn(groups, "x").shape == (1000, 4)
    assert all(facts["low"][name] <= facts["high"][name] for name in METRICS)
    assert np.isnan(interval(np.full((10, 4), np.nan))).all()


def test_of_a_few_patients_who_are_alike_no_interval_is_told() -> None:
    one = said(400, 3, 3, 0)
    facts, few = judged(one, "x")
    assert facts["accuracy"] > 0.5
    assert set(facts["low"].values()) == set(facts["high"].values()) == {None}
    many = tallies(said(400, 3, 30, 0))
    assert np.isnan(mean_over_seeds([redrawn(many, "x"), redrawn(few, "x")], "s")).all()
    assert not np.isnan(mean_over_seeds([redrawn(many, "x")] * 2, "s")).any()
