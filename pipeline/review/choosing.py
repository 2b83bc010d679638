"""Which patches of a round people are asked about, and why each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.keys import uniform
from pipeline.report.run import Round, Run
from stages.informative import spread, worth
from stages.label_errors import suspected

Pick = Literal["informative", "random"]


@dataclass(frozen=True)
class Chosen:
    """One patch. suggested: class; probs: (C,) calibrated; why: in words."""

    id: int
    suggested: int
    probs: np.ndarray
    why: str


def choose(run: Run, number: int, n: int, pick: Pick, known: np.ndarray) -> list[Chosen]:
    """At most n pool patches of a round, never one of `known` (reviewed already). A function of what is committed.

    informative: see `stages.informative`; random: an even draw, from which the precision of a round can be told.
    Raises ChainError (66) where the round has no selection.
    """
    now = run.round(number)
    before = run.round(number - 1) if number else None
    rows = np.flatnonzero(~np.isin(now.pool.ids, known))
    flipped, doubted = _changes(now, before)
    if pick == "random":
        drawn = uniform(now.pool.ids[rows], "review", run.seed, number)
        rows = rows[np.argsort(drawn, kind="stable")[:n]]
    else:
        value = worth(now.margin[rows], flipped[rows], doubted[rows] >= 0)
        first = np.argsort(-value, kind="stable")[: 10 * n]
        rows, value = rows[np.sort(first)], value[np.sort(first)]
        points = np.sqrt(now.probs(rows))  # their distance is Hellinger's
        if before is not None:
            points = np.hstack([points, np.sqrt(before.probs(np.searchsorted(before.pool.ids, now.pool.ids[rows])))])
        rows = rows[spread(points, value, n)]
    probs = now.probs(rows)
    was = before.predicted if before is not None else now.predicted
    return [
        Chosen(
            int(now.pool.ids[row]),
            int(now.predicted[row]),
            p,
            _why(run.classes, p, int(was[row]) if flipped[row] else -1, int(doubted[row]), number),
        )
        for row, p in zip(rows, probs, strict=True)
    ]


def _changes(now: Round, before: Round | None) -> tuple[np.ndarray, np.ndarray]:
    """(P,) bool, another class than a round ago; (P,) the class it was taught as and now hardly looks like, else -1."""
    flipped, doubted = np.zeros(len(now.pool), bool), np.full(len(now.pool), -1, np.int64)
    if before is None:
        return flipped, doubted
    assert np.array_equal(now.pool.ids, before.pool.ids), "a chain scores the same pool in every round"
    flipped = now.predicted != before.predicted
    # the teacher of this round learnt these labels and still believes otherwise: confident learning on them
    taught = before.kept_rows
    if len(taught):
        found, _ = suspected(now.probs(taught), before.selection.label.astype(np.int64))
        doubted[taught[found]] = before.selection.label[found]
    return flipped, doubted


def _why(classes: Sequence[str], probs: np.ndarray, was: int, taught: int, number: int) -> str:
    first, second = np.argsort(-probs, kind="stable")[:2] if len(probs) > 1 else (0, 0)
    said = [f"{classes[first]} {probs[first]:.2f}, {classes[second]} {probs[second]:.2f}"]
    if taught >= 0:
        said.append(f"taught as {classes[taught]} in round {number - 1}")
    elif was >= 0:
        said.append(f"{classes[was]} in round {number - 1}")
    return "; ".join(said)
