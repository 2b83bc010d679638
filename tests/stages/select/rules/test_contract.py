"""What every rule in the folder keeps to, whoever wrote it."""

import time

import numpy as np
import pytest

from stages.scores import Scores
from stages.select.config import parse_rule
from stages.select.rules import members
from stages.select.selection import DTYPES
from tests.stages.test_scores import scores

RULES = [parse_rule({"rule": name}) for name in members()] + [
    parse_rule({"rule": "top_k", "k": 7, "p": 3}),
    parse_rule({"rule": "balanced", "n_per_class": 90}),
    parse_rule({"rule": "threshold", "tau": 1.0}),
]
IDS = [" ".join(f"{key}={value}" for key, value in rule.recipe().items() if key != "calibrate") for rule in RULES]


def rounded(n=800, seed=0, digits=2):
    """Scores with many ties."""
    one = scores(n, seed=seed)
    return one, np.round(one.probs(), digits)


def columns(selection):
    return {name: getattr(selection, name) for name in DTYPES}


@pytest.fixture(params=RULES, ids=IDS)
def rule(request):
    return request.param


def test_pure_and_deterministic(rule):
    one, probs = rounded()
    before = (one.ids.copy(), one.log_probs.copy(), probs.copy())
    first, second = (columns(rule.select(one, probs, 1, 5)) for _ in "ab")
    for name in DTYPES:
        assert np.array_equal(first[name], second[name])
    for array, was in zip((one.ids, one.log_probs, probs), before, strict=True):
        assert np.array_equal(array, was)


def test_row_order_does_not_matter(rule):
    one, probs = rounded()
    order = np.random.default_rng(1).permutation(len(one))
    straight = columns(rule.select(one, probs, 1, 5))
    shuffled = columns(rule.select(Scores(one.ids[order], one.log_probs[order]), probs[order], 1, 5))
    for name in DTYPES:
        assert np.array_equal(straight[name], shuffled[name]), name


def test_keeps_patches_of_the_pool_once_a_label_with_sane_numbers(rule):
    one, probs = rounded()
    kept = rule.select(one, probs, 0, 5)
    assert np.isin(kept.ids, one.ids).all()
    pairs = list(zip(kept.ids.tolist(), kept.label.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert ((kept.label >= 0) & (kept.label < 5)).all()
    assert np.isfinite(kept.weight).all()
    assert (kept.weight >= 0).all()
    assert (kept.copies >= 0).all()
    assert (kept.first_round == 0).all()
    rows = np.searchsorted(one.ids, kept.ids)
    assert np.array_equal(kept.confidence, probs[rows, kept.label].astype(np.float32))
    for name, dtype in DTYPES.items():
        assert getattr(kept, name).dtype == dtype


@pytest.mark.parametrize("n", [0, 1, 2])
def test_tiny_pools_are_pools(rule, n):
    one = scores(n)
    assert len(np.unique(rule.select(one, one.probs(), 0, 0).ids)) <= n


def test_a_million_patches_take_seconds(rule):
    n = 1_000_000
    rng = np.random.default_rng(0)
    probs = rng.random((n, 9), np.float32)
    probs /= probs.sum(axis=1, keepdims=True)
    one = Scores(np.arange(n, dtype=np.uint64), np.zeros((n, 9), np.float16))
    started = time.process_time()
    rule.select(one, probs, 0, 0)
    assert time.process_time() - started < 8  # about 1 here; the bound is for slow and busy machines
