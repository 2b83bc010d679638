from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from stages.select.evidence import Evidence
from stages.select.negatives import Negatives
from stages.select.rules.uncertainty import Uncertainty
from tests.stages.select.cases import evidence


def by_hand(one, rule):
    """The published rule, patch by patch."""
    sure = []
    for row, patch in enumerate(one.ids):
        label = int(one.probs[row].argmax())
        deviation = one.deviation[row, label]
        if one.probs[row, label] >= np.float32(rule.min_confidence) and deviation < np.float32(rule.max_deviation):
            sure.append((label, float(deviation), int(patch)))
    if one.round >= rule.balance_rounds:
        return {(patch, label) for label, _, patch in sure}
    counts = Counter(label for label, _, _ in sure)
    most = max(rule.balance_floor, min(counts.get(c, 0) for c in range(one.probs.shape[1])))
    kept = set()
    for code in range(one.probs.shape[1]):
        kept |= {(patch, label) for label, _, patch in sorted(s for s in sure if s[0] == code)[:most]}
    return kept


@pytest.mark.parametrize("round", [0, 5, 6])
@pytest.mark.parametrize("floor", [1, 25, 60])
def test_is_the_published_rule(round, floor):
    one = evidence(1500, round=round)
    rule = Uncertainty(balance_floor=floor)
    kept = rule.select(one)
    assert set(zip(kept.ids.tolist(), kept.label.tolist(), strict=True)) == by_hand(one, rule)


def test_a_class_without_patches_leaves_the_others_their_25():
    one = evidence(1500)
    probs = one.probs.copy()
    probs[probs.argmax(1) == 2] = np.array([0.2, 0.2, 0.2, 0.2, 0.2], np.float32)
    kept = Uncertainty().select(replace(one, believed=probs))
    assert np.bincount(kept.label, minlength=5).tolist() == [25, 25, 0, 25, 25]


def test_defaults_are_those_of_the_paper():
    rule = Uncertainty()
    assert (rule.min_confidence, rule.max_deviation, rule.balance_floor) == (0.70, 0.05, 25)
    assert (rule.negative_confidence, rule.negative_deviation) == (0.05, 0.005)
    assert rule.negatives(evidence(10)) is None


def test_deviations_lie_below_their_limit_and_confidence_at_it_is_enough():
    probs = np.tile(np.array([0.75, 0.25], np.float32), (3, 1))
    deviation = np.array([[0.25, 0], [0.125, 0], [0, 0.5]], np.float32)
    one = Evidence(np.arange(3, dtype=np.uint64), probs, deviation=deviation, round=9)
    assert Uncertainty(min_confidence=0.75, max_deviation=0.25).select(one).ids.tolist() == [1, 2]


def test_a_wider_deviation_keeps_more():
    one = evidence(1500, round=9)
    narrow, wide = (set(Uncertainty(max_deviation=d).select(one).ids.tolist()) for d in (0.02, 0.06))
    assert narrow < wide


def test_negatives_are_what_is_surely_unlikely_and_never_what_is_kept():
    one = evidence(600)
    rule = Uncertainty(negative=True)
    pieces = list(rule.negatives(one))
    found = Negatives.of(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("ids", "label")))
    wanted = (one.probs < np.float32(0.05)) & (one.deviation < np.float32(0.005))
    row, code = wanted.nonzero()
    assert set(zip(found.ids.tolist(), found.label.tolist(), strict=True)) == set(
        zip(one.ids[row].tolist(), code.tolist(), strict=True)
    )
    kept = rule.select(one)
    pairs = set(zip(kept.ids.tolist(), kept.label.tolist(), strict=True))
    assert not pairs & set(zip(found.ids.tolist(), found.label.tolist(), strict=True))


def test_no_patch_is_told_that_it_is_not_what_it_most_looks_like():
    """As in the code of the paper's authors: of 25 classes the best may have less than 0.05, and tau_n may be high."""
    one = evidence(600)
    flat = np.full((600, 25), 1 / 25, np.float32)
    steady = np.zeros((600, 25), np.float16)
    for case, rule in (
        (replace(one, believed=flat, deviation=steady), Uncertainty(negative=True)),
        (one, Uncertainty(negative=True, negative_confidence=0.9, negative_deviation=1.0)),
    ):
        told = [pair for piece in rule.negatives(case) for pair in zip(piece.ids, piece.label, strict=True)]
        assert told
        likeliest = set(zip(case.ids.tolist(), case.probs.argmax(axis=1).tolist(), strict=True))
        assert not likeliest & {(int(patch), int(code)) for patch, code in told}
