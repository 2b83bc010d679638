from dataclasses import replace

import numpy as np
import pytest

from stages.select.evidence import Evidence
from stages.select.rules.balanced import Balanced


def pool(counts, confidence=0.8):
    """`counts[c]` patches of class c, with rising confidence from `confidence`."""
    c = len(counts)
    label = np.repeat(np.arange(c), counts)
    top = confidence + np.linspace(0, 0.1, len(label), dtype=np.float32)
    probs = np.tile(((1 - top) / (c - 1))[:, None], (1, c)).astype(np.float32)
    probs[np.arange(len(label)), label] = top
    return Evidence(np.arange(len(label), dtype=np.uint64), probs)


def test_classes_with_more_keep_their_best_and_classes_with_fewer_are_repeated():
    one = pool([500, 40, 100])
    kept = Balanced(n_per_class=100).select(one)
    assert np.bincount(kept.label).tolist() == [100, 40, 100]
    assert kept.ids[kept.label == 0].tolist() == list(range(400, 500))  # the most confident of class 0
    assert set(kept.copies[kept.label != 1].tolist()) == {1}
    assert set(kept.copies[kept.label == 1].tolist()) == {2, 3}


@pytest.mark.parametrize("n", [100, 130, 999])
def test_copies_are_right_in_the_mean_over_rounds(n):
    one = pool([40, 70])
    sums = np.zeros(2)
    for round in range(300):
        kept = Balanced(n_per_class=n).select(replace(one, round=round))
        sums += np.bincount(kept.label, weights=kept.copies)
    np.testing.assert_allclose(sums / 300, n, rtol=0.02)


def test_a_patch_keeps_its_draw_when_others_leave():
    one = pool([40, 40])
    one = replace(one, round=3, seed=7)
    whole = Balanced(n_per_class=100).select(one)
    first = one.ids < 40
    part = Balanced(n_per_class=100).select(replace(one, ids=one.ids[first], believed=one.probs[first]))
    assert np.array_equal(part.copies, whole.copies[whole.label == 0])


def test_the_unsure_are_dropped():
    one = pool([30, 30], confidence=0.55)
    assert len(Balanced(min_confidence=0.7).select(one)) == 0
    assert len(Balanced(min_confidence=0.3).select(one)) == 60


def test_without_a_number_the_median_class_gives_it():
    one = pool([1000, 50, 3, 0, 80])
    kept = Balanced().select(one)
    assert np.bincount(kept.label, minlength=5).tolist() == [50, 50, 3, 0, 50]


def test_a_share_is_of_each_class_by_itself_and_grows():
    one = pool([100, 50])
    unsure = one.ids >= 100
    halved = np.where(unsure[:, None], one.probs * 0.5 + 0.25, one.probs).astype(np.float32)  # one class is less sure
    one = replace(one, believed=halved)
    rule = Balanced(min_confidence=0, share=0.6, share_step=0.3, n_per_class=1000)
    kept = rule.select(one)
    assert np.bincount(kept.label).tolist() == [60, 30]
    assert kept.ids.tolist() == [*range(40, 100), *range(120, 150)]  # the surest of each
    assert np.bincount(rule.select(replace(one, round=1)).label).tolist() == [90, 45]
    assert np.bincount(rule.select(replace(one, round=2)).label).tolist() == [100, 50]


def test_the_mean_of_the_classes_lies_between():
    kept = Balanced(n_from="mean").select(pool([100, 40]))
    assert np.bincount(kept.label, weights=kept.copies).tolist() == pytest.approx([70, 70], abs=12)
    assert np.bincount(kept.label).tolist() == [70, 40]


def test_more_is_kept_as_long_as_belief_says_it_is_right():
    rng = np.random.default_rng(0)
    top = rng.uniform(0.5, 1, 4000).astype(np.float32)
    label = rng.integers(0, 4, 4000)
    probs = np.tile(((1 - top) / 3)[:, None], (1, 4)).astype(np.float32)
    probs[np.arange(4000), label] = top
    one = Evidence(np.arange(4000, dtype=np.uint64), probs)
    share = {}
    for precision in (None, 0.7, 0.8, 0.9, 0.999):
        kept = Balanced(min_confidence=0, share=0.3, n_per_class=4000, precision=precision).select(one)
        share[precision] = len(kept) / 4000
        by_class = np.bincount(kept.label) / np.bincount(label)
        assert np.ptp(by_class) < 0.01  # of each class the same share
        if precision:
            assert kept.confidence.mean() >= precision or share[precision] == pytest.approx(0.3, abs=0.01)
    assert share[None] == share[0.999] == pytest.approx(0.3, abs=0.01)  # never less than `share`
    assert share[0.7] == 1
    assert share[0.8] == pytest.approx(0.8, abs=0.03)  # the mean of the upper s of an even draw is 1 - s / 4
    assert share[0.9] == pytest.approx(0.4, abs=0.03)
