import numpy as np

from stages.select.evidence import Evidence
from stages.select.rules.threshold import Threshold
from tests.stages.select.cases import evidence


def test_keeps_exactly_what_reaches_tau_under_its_first_class():
    one = evidence(2000)
    probs = one.probs
    kept = Threshold(tau=0.8).select(one)
    wanted = probs.max(axis=1) >= np.float32(0.8)
    assert np.array_equal(kept.ids, one.ids[wanted])
    assert np.array_equal(kept.label, probs.argmax(axis=1)[wanted])


def test_tau_itself_is_kept():
    one = Evidence(np.array([3], np.uint64), np.array([[0.7, 0.3]], np.float32))
    assert len(Threshold(tau=0.7).select(one)) == 1


def test_a_higher_tau_keeps_a_subset():
    one = evidence(2000)
    low, high = (Threshold(tau=tau).select(one).ids for tau in (0.5, 0.9))
    assert set(high.tolist()) < set(low.tolist())
