import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.select.evidence import Evidence
from stages.select.rules.rebalance import Rebalance, sampling_rates
from tests.stages.select.cases import evidence


def test_rates_are_the_published_ones():
    """N = 1000, 500, 100, 10: the commonest at the rarest's rate to the common one, the rarest wholly."""
    found = sampling_rates(np.array([500, 10, 1000, 100]), 3.0)
    by_rank = {1000: 10 / 1000, 500: 100 / 1000, 100: 500 / 1000, 10: 1.0}
    assert found == pytest.approx([by_rank[n] ** (1 / 3) for n in (500, 10, 1000, 100)])


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=9), st.floats(0.5, 10))
def test_the_rarer_is_never_kept_less_and_equals_are_treated_alike(counts, alpha):
    rates = sampling_rates(np.array(counts), alpha)
    assert ((rates > 0) & (rates <= 1 + 1e-12)).all()
    order = np.argsort(counts, kind="stable")
    assert (np.diff(rates[order]) <= 1e-12).all()
    for one, a in zip(counts, rates, strict=True):
        for other, b in zip(counts, rates, strict=True):
            assert max(one, 1) != max(other, 1) or a == b


def test_equal_labels_keep_everything():
    one = replace(evidence(300), labelled=np.full(5, 7))
    assert len(Rebalance().select(one)) == 300
    sure = Rebalance(min_confidence=0.9).select(one)
    assert sure.confidence.min() >= 0.9


def test_the_most_confident_share_of_every_class_is_kept():
    one = evidence(900)
    kept = Rebalance(alpha=2.0).select(one)
    label, confidence = one.probs.argmax(axis=1), one.probs.max(axis=1)
    for code, rate in enumerate(sampling_rates(one.labelled, 2.0)):
        of = np.flatnonzero(label == code)
        n = math.ceil(rate * len(of) - 1e-9)
        best = sorted(of, key=lambda row: (-confidence[row], one.ids[row]))[:n]
        assert sorted(one.ids[best].tolist()) == kept.ids[kept.label == code].tolist()


@pytest.mark.parametrize(("rarer", "n"), [(8, 10), (27, 9), (64, 4)])  # rates of 1/2, 1/3 and 1/4
def test_a_share_that_is_a_whole_number_of_patches_is_kept_exactly(rarer, n):
    probs = np.repeat([[0.9, 0.1], [0.2, 0.8]], [n, 3], axis=0).astype(np.float32)
    one = Evidence(np.arange(n + 3, dtype=np.uint64), probs, labelled=np.array([rarer, 1]))
    kept = Rebalance(alpha=3.0).select(one)
    assert np.bincount(kept.label).tolist() == [round(n * rarer ** (-1 / 3)), 3]


def test_the_exponent_falls_from_1_to_a_half_and_stays():
    rule = Rebalance()
    assert [rule.exponent(round) for round in range(5)] == [1.0, 0.75, 0.5, 0.5, 0.5]
    assert rule.align == "labelled"
    assert [Rebalance(align_rounds=5).exponent(r) for r in (0, 1, 5)] == [1.0, 0.9, 0.5]
