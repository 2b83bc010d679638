"""Which patches people are asked about, and why each: of a round's pool, or among the labels it was given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.keys import uniform
from pipeline.report.run import Round, Run
from pipeline.review.doubting import doubted
from stages.measures.informative import CANDIDATES, spread, worth
from stages.measures.label_errors import suspected

Pick = Literal["informative", "random", "suspects"]


@dataclass(frozen=True)
class Chosen:
    """One patch. suggested: class; probs: (C,) calibrated; why: in words."""

    id: int
    suggested: int
    probs: np.ndarray
    why: str


def choose(run: Run, number: int, n: int, pick: Pick, known: np.ndarray) -> list[Chosen]:
    """At most n patches, never one of `known` (reviewed already). A function of what is committed.

    informative, random: of the pool, see `stages.measures.informative`, or an even draw, from which the precision of a
    round can be told; suspects: of the labels that train, see `doubting`. Raises ChainError (66) where the round has
    no selection, (65) where labels are too few to be doubted.
    """
    if pick == "suspects":
        return _suspects(run, number, n, known)
    now = run.round(number)
    before = _Before.of(run.round(number - 1), now) if number else None
    rows = np.flatnonzero(~np.isin(now.pool.ids, known))
    flipped = np.zeros(len(now.pool), bool) if before is None else before.predicted != now.predicted
    taught = np.full(len(now.pool), -1) if before is None else before.doubted
    if pick == "random":
        drawn = uniform(now.pool.ids[rows], "review", run.seed, number)
        rows = rows[np.argsort(drawn, kind="stable")[:n]]
    else:
        value = worth(now.margin[rows], flipped[rows], taught[rows] >= 0)
        most = np.sort(np.argsort(-value, kind="stable")[: CANDIDATES * n])
        rows, value = rows[most], value[most]
        # the distance of these roots is Hellinger's
        beliefs = [now.probs(rows)] if before is None else [now.probs(rows), before.probs(rows)]
        rows = rows[spread(np.sqrt(np.hstack(beliefs)), value, n)]
    return [
        Chosen(
            int(now.pool.ids[row]),
            int(now.predicted[row]),
            probs,
            _why(run.classes, probs, int(before.predicted[row]) if before else -1, int(taught[row]), number),
        )
        for row, probs in zip(rows.tolist(), now.probs(rows), strict=True)
    ]


def _suspects(run: Run, number: int, n: int, known: np.ndarray) -> list[Chosen]:
    found, names = doubted(run, number, known), run.classes
    return [
        Chosen(
            int(found.ids[k]),
            int(looks),
            probs,
            f"given as {names[given]} {probs[given]:.2f}, looks like {names[looks]} {probs[looks]:.2f}",
        )
        for k, (given, looks, probs) in enumerate(zip(found.given[:n], found.looks, found.probs, strict=False))
    ]


@dataclass(frozen=True)
class _Before:
    """The round before, in terms of this round's pool, which may be smaller: reviewed patches have left it.

    predicted: (P,) class; doubted: (P,) the class a patch was taught as and no longer looks like, -1: none.
    """

    round: Round
    at: np.ndarray
    predicted: np.ndarray
    doubted: np.ndarray

    @staticmethod
    def of(before: Round, now: Round) -> "_Before":
        at = np.searchsorted(before.pool.ids, now.pool.ids)
        assert np.array_equal(before.pool.ids[at], now.pool.ids), "a pool only ever loses patches"
        doubted = np.full(len(now.pool), -1, np.int64)
        kept = before.selection
        row = np.searchsorted(now.pool.ids, kept.ids)
        there = np.flatnonzero(now.pool.ids[np.minimum(row, len(now.pool) - 1)] == kept.ids)
        if len(there):
            # the teacher of this round learnt these labels and believes otherwise: confident learning on them
            found, _ = suspected(now.probs(row[there]), kept.label[there].astype(np.int64))
            doubted[row[there][found]] = kept.label[there][found]
        return _Before(before, at, before.predicted[at], doubted)

    def probs(self, rows: np.ndarray) -> np.ndarray:
        return self.round.probs(self.at[rows])


def _why(classes: Sequence[str], probs: np.ndarray, was: int, taught: int, number: int) -> str:
    first, second = np.argsort(-probs, kind="stable")[:2] if len(probs) > 1 else (0, 0)
    said = [f"{classes[first]} {probs[first]:.2f}, {classes[second]} {probs[second]:.2f}"]
    if taught >= 0:
        said.append(f"taught as {classes[taught]} in round {number - 1}")
    elif was not in (-1, first):
        said.append(f"{classes[was]} in round {number - 1}")
    return "; ".join(said)
