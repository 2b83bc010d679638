import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.select.evidence import Evidence
from stages.select.rules.soft import Soft
from tests.stages.select.cases import evidence


def test_weights_are_the_published_ones():
    one = evidence(500)
    p = one.probs.max(axis=1).astype(np.float64)
    mu, var = p.mean(), p.var(ddof=1)
    wanted = np.where(p < mu, np.exp(-((p - mu) ** 2) / (2 * var / 4)), 1)
    kept = Soft().select(one)
    assert np.array_equal(kept.ids, one.ids)
    assert np.array_equal(kept.label, one.probs.argmax(axis=1))
    assert kept.weight == pytest.approx(wanted, abs=1e-6)


@given(st.integers(0, 2**32), st.floats(0.1, 10))
def test_weights_lie_in_0_to_1_and_never_fall_with_confidence(seed, n_sigma):
    kept = Soft(n_sigma=n_sigma).select(evidence(200, seed=seed))
    assert ((kept.weight >= 0) & (kept.weight <= 1)).all()
    assert (np.diff(kept.weight[np.argsort(kept.confidence, kind="stable")]) >= 0).all()


def test_a_steeper_rule_weighs_the_unsure_less():
    flat, steep = (Soft(n_sigma=n).select(evidence(300)).weight for n in (1, 3))
    assert (steep <= flat).all()
    assert (steep < flat).any()


def test_where_all_are_equally_sure_all_weigh_1():
    probs = np.tile(np.array([[0.7, 0.3]], np.float32), (9, 1))
    assert (Soft().select(Evidence(np.arange(9, dtype=np.uint64), probs)).weight == 1).all()
    assert (Soft().select(Evidence(np.arange(1, dtype=np.uint64), probs[:1])).weight == 1).all()
