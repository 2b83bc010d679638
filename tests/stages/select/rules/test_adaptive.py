import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.select.evidence import Evidence
from stages.select.rules.adaptive import Adaptive
from tests.stages.select.cases import evidence


def sure_of(counts, unsure=0, c=3):
    """counts[k] patches that are k with 0.99, and some that are nothing in particular."""
    rows = [np.eye(c)[k] * 0.985 + 0.005 for k, n in enumerate(counts) for _ in range(n)]
    rows += [np.array([0.4, 0.3, 0.3])] * unsure
    probs = np.array(rows, np.float32)
    return Evidence(np.arange(len(probs), dtype=np.uint64), probs)


def test_thresholds_are_the_published_ones():
    found = Adaptive(tau=0.9).thresholds(sure_of([100, 50, 25], unsure=10))
    beta = np.array([1, 0.5, 0.25])
    assert found == pytest.approx(0.9 * beta / (2 - beta))


def test_warm_up_divides_by_the_undecided_while_they_are_most():
    found = Adaptive(tau=0.9, warm_up=True).thresholds(sure_of([100, 50, 25], unsure=400))
    beta = np.array([100, 50, 25]) / 400
    assert found == pytest.approx(0.9 * beta / (2 - beta))
    calm = sure_of([100, 50, 25], unsure=10)
    assert np.array_equal(Adaptive(warm_up=True).thresholds(calm), Adaptive().thresholds(calm))


def test_the_best_learnt_class_keeps_tau_and_a_class_never_sure_of_keeps_all():
    found = Adaptive(tau=0.95).thresholds(sure_of([100, 50, 0]))
    assert found[0] == pytest.approx(0.95)
    assert found[2] == 0
    assert Adaptive(tau=0.95, floor=0.5).thresholds(sure_of([100, 50, 0]))[2] == 0.5


def test_where_nothing_is_sure_nothing_tells_classes_apart():
    one = sure_of([0, 0, 0], unsure=20)
    assert (Adaptive(tau=0.95).thresholds(one) == 0.95).all()
    assert len(Adaptive(tau=0.95).select(one)) == 0


@given(st.integers(0, 2**32), st.floats(0.3, 1.0))
def test_no_threshold_exceeds_tau(seed, tau):
    found = Adaptive(tau=tau).thresholds(evidence(300, seed=seed))
    assert (found <= tau + 1e-12).all()
    assert (found >= 0).all()
