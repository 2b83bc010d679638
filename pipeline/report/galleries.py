"""Which patches a gallery shows: each by a stated rule, ties and draws keyed by patch id. Pure but for reading scores.

`review` and the page choose by the same rules: `gallery(name, round, before, seed)` gives all its rows in order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.keys import uniform
from pipeline.report.run import Earlier, Round

RARE_SHARE = 0.5  # a rare class is predicted for less than this part of an even share of the pool


@dataclass(frozen=True)
class Rule:
    """title: heading; words: the rule as people read it; rows: (round, before, seed) -> pool rows in order."""

    title: str
    words: str
    rows: Callable[[Round, Earlier | None, int], np.ndarray]


def gallery(name: str, now: Round, before: Earlier | None, seed: int, most: int | None = None) -> np.ndarray:
    """Rows of the pool that a gallery is about, in its order, at most `most`.

    before: the round before, if any, in the order of this one (`Round.at`).
    """
    rows: np.ndarray = RULES[name].rows(now, before, seed)[:most]
    return rows


def rare_classes(now: Round) -> np.ndarray:
    """Classes that few pool patches are predicted as; the one with the fewest where none is rare."""
    classes = now.pool.log_probs.shape[1]
    counts = np.bincount(now.predicted, minlength=classes)
    rare = np.flatnonzero((counts < RARE_SHARE * len(now.pool) / classes) & (counts > 0))
    some = np.flatnonzero(counts)
    return rare if len(rare) else some[np.argsort(counts[some], kind="stable")[:1]]


def _ordered(now: Round, rows: np.ndarray, by: np.ndarray) -> np.ndarray:
    # by: (len(rows),) ascending; ties by patch id
    return rows[np.lexsort((now.pool.ids[rows], by))]


def _in_turn(now: Round, rows: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Ordered within each predicted class, then one class after the other in turn, so that each is seen."""
    ordered = _ordered(now, rows, by)
    label = now.predicted[ordered]
    place = np.zeros(len(ordered), np.int64)
    for code in np.unique(label):
        own = label == code
        place[own] = np.arange(int(own.sum()))
    return ordered[np.lexsort((label, place))]


def _surest(now: Round, before: Earlier | None, seed: int) -> np.ndarray:
    rows = np.flatnonzero(now.kept)
    return _in_turn(now, rows, -now.confidence[rows])


def _least_sure(now: Round, before: Earlier | None, seed: int) -> np.ndarray:
    rows = np.flatnonzero(now.kept)
    return _ordered(now, rows, now.confidence[rows])


def _newly_in(now: Round, before: Earlier | None, seed: int) -> np.ndarray:
    if before is None:
        return np.empty(0, np.int64)
    rows = np.flatnonzero(now.kept & ~before.kept)
    return _ordered(now, rows, uniform(now.pool.ids[rows], "gallery", "newly in", now.number, seed))


def _flipped(now: Round, before: Earlier | None, seed: int) -> np.ndarray:
    if before is None:
        return np.empty(0, np.int64)
    rows = np.flatnonzero((now.predicted != before.predicted) & (before.predicted >= 0))
    return _ordered(now, rows, -np.minimum(now.confidence[rows], before.confidence[rows]))


def _rejected_rare(now: Round, before: Earlier | None, seed: int) -> np.ndarray:
    rows = np.flatnonzero(~now.kept & np.isin(now.predicted, rare_classes(now)))
    return _ordered(now, rows, -now.confidence[rows])


def _nearest_other(now: Round, before: Earlier | None, seed: int) -> np.ndarray:
    rows = np.flatnonzero(now.kept)
    return _ordered(now, rows, now.margin[rows])


RULES = {
    "surest": Rule("Surest", "kept, the highest confidence of each class in turn", _surest),
    "least_sure": Rule("Least sure among the kept", "kept, the lowest confidence first", _least_sure),
    "newly_in": Rule(
        "Newly in", "kept now and not in the round before; drawn at random (seed of the chain)", _newly_in
    ),
    "flipped": Rule(
        "Flipped", "another class than in the round before; first where both rounds were sure of it", _flipped
    ),
    "rejected_rare": Rule(
        "Rejected, but sure of a rare class",
        "not kept, predicted as a class that less than half of an even share of the pool is predicted as (or the "
        "rarest); surest first",
        _rejected_rare,
    ),
    "nearest_other": Rule(
        "Nearest to another class", "kept, the least distance between its two likeliest classes first", _nearest_other
    ),
}
