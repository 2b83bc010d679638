"""Collapse is seen, and a sound round is left in peace."""

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from stages.select.figures import Beliefs, Kept
from stages.select.guards import entropy, guard_alarms, guards, share_of_top5

N, CLASSES = 600, ("a", "b", "c")


def beliefs(predicted, kept=None, before=None, places=None):
    rows = np.arange(N) if kept is None else kept
    nothing = np.empty(0)
    return Beliefs(
        classes=CLASSES,
        predicted=predicted,
        before=before,
        kept=Kept(rows, predicted[rows], np.ones(len(rows), np.float32)),
        kept_before=None,
        places=np.arange(N) % 60 if places is None else places,
        truth=np.full(N, -1),
        validation_confidence=nothing,
        validation_predicted=nothing,
        validation_label=nothing,
        labels=np.array([20, 20, 20]),
    )


EVEN = np.arange(N) % 3


def test_a_sound_round_raises_nothing():
    found = guards(beliefs(EVEN, before=EVEN))
    assert guard_alarms(found, found, "patient") == []
    assert found["agreement"] == 1
    assert found["entropy_predicted"] == pytest.approx(np.log(3), abs=1e-5)


def test_a_pool_that_is_all_one_class_is_called_collapse():
    found = guards(beliefs(np.where(np.arange(N) < 560, 0, EVEN)))
    alarms = guard_alarms(found, None, None)
    assert any(text.startswith("collapse: the predicted classes of the pool") for text in alarms)
    assert any(text.startswith("collapse: the kept labels") for text in alarms)


def test_agreement_that_falls_is_told_and_agreement_that_is_merely_low_is_not():
    first = guards(beliefs(EVEN, before=np.where(np.arange(N) < 60, (EVEN + 1) % 3, EVEN)))
    second = guards(beliefs(EVEN, before=np.where(np.arange(N) < 120, (EVEN + 1) % 3, EVEN)))
    assert (first["agreement"], second["agreement"]) == (0.9, 0.8)
    assert guard_alarms(second, first, None) == [
        "agreement between rounds falls: 80 % of the pool keep their class, 90 % did in the round before"
    ]
    assert guard_alarms(first, second, None) == []


def test_few_slides_that_give_most_are_named():
    few = np.flatnonzero(np.arange(N) % 60 < 5)  # five of sixty places
    assert guard_alarms(guards(beliefs(EVEN, kept=few)), None, "slide") == [
        "five slides give 100 % of the kept patches and hold 8.3 % of the pool"
    ]
    five_in_all = guards(beliefs(EVEN, places=np.arange(N) % 5))
    assert guard_alarms(five_in_all, None, "slide") == []


def test_figures_by_other_hands():
    assert entropy(np.array([5, 0, 15])) == pytest.approx(scipy_entropy([5, 15]))
    assert np.isnan(entropy(np.zeros(3)))
    assert share_of_top5(np.full(4, -1), np.ones(4, bool)) != share_of_top5(np.zeros(4, int), np.ones(4, bool))
    nothing = guards(beliefs(EVEN, kept=np.empty(0, np.int64)))
    assert (nothing["entropy_kept"], nothing["top5_share"], nothing["agreement"]) == (None, None, None)
    assert guard_alarms(nothing, nothing, None) == []
