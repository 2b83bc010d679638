"""Intervals of a single figure."""

import numpy as np

from stages.measures.interval import interval
from stages.measures.judged import Judged


def test_intervals_hold_the_figure_and_are_wider_over_groups_that_stick_together() -> None:
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, 400).astype(np.int16)
    group = np.repeat(np.arange(20), 20)
    right = np.repeat(rng.random(20) < 0.7, 20)
    said = np.where(right, label, 1 - label)
    log_probs = np.log(np.eye(2)[said] * 0.8 + 0.1)
    ids = np.arange(400, dtype=np.uint64)
    wide = interval("accuracy", Judged(ids, log_probs, label, group), 0)
    narrow = interval("accuracy", Judged(ids, log_probs, label, ids.astype(np.int64)), 0)
    assert wide[0] < right.mean() < wide[1]
    assert narrow[0] < right.mean() < narrow[1]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_the_interval_of_few_groups_reaches_nearly_to_the_worst_and_the_best_of_them() -> None:
    """Six slides, of which every resample is a mean: 95 % of them lie far closer than six slides allow to say."""
    label, group = np.zeros(120, np.int16), np.repeat(np.arange(6), 20)
    wrong = np.tile(np.arange(20), 6) < 3 * group
    log_probs = np.log(np.eye(2)[wrong.astype(int)] * 0.8 + 0.1)
    low, high = interval("accuracy", Judged(np.arange(120, dtype=np.uint64), log_probs, label, group), 0)
    each = 1 - 3 * np.arange(6) / 20
    reach = 2.571 * each.std(ddof=1) / np.sqrt(6)  # Student's, of 5 degrees of freedom
    assert high - low > 1.6 * reach
    assert each.min() < low < each.mean() < high < each.max()


def test_of_under_five_groups_patches_are_drawn_and_other_keys_draw_others() -> None:
    rng = np.random.default_rng(1)
    log_probs, label = np.log(rng.dirichlet(np.ones(3), 90)), rng.integers(0, 3, 90).astype(np.int16)
    ids = np.arange(90, dtype=np.uint64)
    alone, four, five = (
        interval("macro_f1", Judged(ids, log_probs, label, np.arange(90) % groups), 0, "one") for groups in (90, 4, 5)
    )
    assert alone == four != five
    assert interval("macro_f1", Judged(ids, log_probs, label, np.arange(90)), 0, "other") != alone
