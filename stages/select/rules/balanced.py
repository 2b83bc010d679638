"""Filter, then balance: the rule of Noisy Student (Xie et al. 2020)."""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from data.keys import uniform
from stages.blocks import counts
from stages.select.choice import Choice
from stages.select.evidence import Evidence
from stages.select.rule import OfBest, surest

STEPS = 41  # shares that are tried, from all down to `share`


class Balanced(OfBest):
    """Drop the unsure, cut each class to its most sure `n_per_class`, repeat the classes that have fewer.

    A patch belongs to its most probable class. A class of m < n patches is seen n / m times, rounded up or down
    per patch by a draw keyed by seed, round and patch id, so that the mean is exact and nothing depends on order.
    Without `n_per_class`, n is the lower median of what the classes with any sure patch have: one huge class
    cannot pull the rest into endless copies, one tiny class cannot empty them. Or their mean, which repeats rare
    classes more and thins frequent ones less. With `share` "sure" is meant within the class: of a class that the
    teacher is sure of and of one that it is not, the same share is kept. With `precision` that share is larger where
    belief allows it: as long as what is kept is, by its mean calibrated confidence, right that often. With few labels
    a surest part is all that can be taught; with many, what is left out is what there is to learn.
    """

    rule: Literal["balanced"] = "balanced"
    min_confidence: Annotated[float, Field(ge=0, le=1, description="patches below it are dropped")] = 0.3
    n_per_class: Annotated[
        int | None, Field(ge=1, description="patches a class, copies counted; null: the median class")
    ] = None
    n_from: Annotated[
        Literal["median", "mean"], Field(description="what n is, of the classes' numbers, where n_per_class is null")
    ] = "median"
    share: Annotated[
        float, Field(gt=0, le=1, description="of each class only so large a part is kept, the surest; 1: all")
    ] = 1.0
    share_step: Annotated[float, Field(ge=0, le=1, description="added to `share` at every further round")] = 0.0
    precision: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="more than `share` is kept, up to all, as long as the mean confidence of what is kept is at "
            "least this; null: never more than `share`",
        ),
    ] = None

    def choose(self, evidence: Evidence) -> Choice:
        """See OfBest."""
        label, confidence = evidence.best
        sure = self._surest(evidence, label, confidence)
        found = counts(label, evidence.width, sure)
        present = np.sort(found[found > 0])
        if not len(present):
            return Choice(sure)
        middle = int(present[(len(present) - 1) // 2]) if self.n_from == "median" else round(present.mean())
        n_per_class = self.n_per_class or middle
        kept, factors = np.zeros(len(sure), bool), np.ones(len(found))
        for code in np.flatnonzero(found):
            kept |= surest(confidence, evidence.ids, sure & (label == code), n_per_class)
            factors[code] = n_per_class / min(n_per_class, found[code])

        def copies(ids: np.ndarray, label: np.ndarray, confidence: np.ndarray) -> np.ndarray:
            factor = factors[label]
            whole: np.ndarray = np.floor(factor)
            whole += uniform(ids, "balanced", evidence.seed, evidence.round) < factor - whole
            return whole

        return Choice(kept, copies=copies)

    def _surest(self, evidence: Evidence, label: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        # (P,) bool
        sure = confidence >= np.float32(self.min_confidence)
        share = min(1.0, self.share + self.share_step * evidence.round)
        if share == 1 or not sure.any():
            return sure
        if self.precision is not None:
            share = _largest(
                share, [confidence[sure & (label == code)] for code in range(evidence.width)], self.precision
            )
        kept = np.zeros(len(sure), bool)
        for code in range(evidence.width):
            own = sure & (label == code)
            kept |= surest(confidence, evidence.ids, own, _part(share, int(np.count_nonzero(own))))
        return kept


def _largest(least: float, classes: list[np.ndarray], precision: float) -> float:
    """The largest share, at least `least`, whose surest of every class are believed with that mean confidence.

    classes: confidences of each, copies, (M,) float32; they are sorted in place.
    """
    for own in classes:
        own.sort()
    shares: list[float] = [1.0, *np.linspace(1, least, STEPS)[1:-1].tolist()]
    for share in shares:
        surest_first = [own[::-1][: _part(share, len(own))] for own in classes]
        if np.concatenate(surest_first).mean(dtype=np.float64) >= precision:
            return share
    return least


def _part(share: float, count: int) -> int:
    # the small term: a share such as 0.7 of 10 lands just above 7
    return math.ceil(share * count - 1e-6)
