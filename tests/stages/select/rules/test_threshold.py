import numpy as np

from stages.select.rules.threshold import Threshold
from tests.stages.test_scores import scores


def test_keeps_exactly_what_reaches_tau_under_its_first_class():
    one = scores(2000)
    probs = one.probs()
    kept = Threshold(tau=0.8).select(one, probs, 0, 0)
    wanted = probs.max(axis=1) >= np.float32(0.8)
    assert np.array_equal(kept.ids, one.ids[wanted])
    assert np.array_equal(kept.label, probs.argmax(axis=1)[wanted])


def test_tau_itself_is_kept():
    one = scores(1, c=2)
    assert len(Threshold(tau=0.7).select(one, np.array([[0.7, 0.3]], np.float32), 0, 0)) == 1


def test_a_higher_tau_keeps_a_subset():
    one = scores(2000)
    low, high = (Threshold(tau=tau).select(one, one.probs(), 0, 0).ids for tau in (0.5, 0.9))
    assert set(high.tolist()) < set(low.tolist())
