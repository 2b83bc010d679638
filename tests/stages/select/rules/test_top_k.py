from dataclasses import replace

import numpy as np
import pytest

from stages.select.evidence import Evidence
from stages.select.rules.top_k import TopK
from tests.stages.select.cases import evidence


def by_hand(ids, probs, k, p):
    """The published rule, one patch and one class at a time."""
    kept = set()
    for c in range(probs.shape[1]):
        listed = []
        for row in range(len(ids)):
            if c in sorted(range(probs.shape[1]), key=lambda d: (-probs[row, d], d))[:p]:
                listed.append((-float(probs[row, c]), int(ids[row])))
        kept |= {(patch, c) for _, patch in sorted(listed)[:k]}
    return sorted(kept)


@pytest.mark.parametrize("k", [1, 10, 1000])
@pytest.mark.parametrize("p", [1, 2, 5, 9])
def test_is_the_published_rule(k, p):
    one = evidence(120, digits=1)  # many ties
    kept = TopK(k=k, p=p).select(one)
    assert list(zip(kept.ids.tolist(), kept.label.tolist(), strict=True)) == by_hand(one.ids, one.probs, k, p)


def test_a_class_that_never_wins_gets_patches_with_p_above_1():
    probs = np.tile(np.array([[0.6, 0.3, 0.1]], np.float32), (100, 1))
    one = Evidence(np.arange(100, dtype=np.uint64), probs)
    assert np.bincount(TopK(k=10).select(one).label, minlength=3).tolist() == [10, 0, 0]
    assert np.bincount(TopK(k=10, p=2).select(one).label, minlength=3).tolist() == [10, 10, 0]


def test_k_grows_by_its_step_each_round():
    one = evidence(200, c=2)
    rule = TopK(k=5, k_step=7)
    for round in range(3):
        kept = rule.select(replace(one, round=round))
        assert np.bincount(kept.label).tolist() == [5 + 7 * round] * 2
