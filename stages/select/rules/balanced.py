"""Filter, then balance: the rule of Noisy Student (Xie et al. 2020)."""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from data.keys import uniform
from stages.select.evidence import Evidence
from stages.select.rule import Rule, best_first, top_class
from stages.select.selection import Selection

STEPS = 41  # shares that are tried, from all down to `share`


class Balanced(Rule):
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

    def select(self, evidence: Evidence) -> Selection:
        """See Rule."""
        ids, number = evidence.ids, evidence.round
        label, confidence = top_class(evidence.probs)
        sure = self._surest(evidence, label, confidence)
        counts = np.bincount(label[sure], minlength=evidence.probs.shape[1])
        present = np.sort(counts[counts > 0])
        if not len(present):
            return Selection.of(ids[sure], label[sure], confidence[sure], number)
        middle = int(present[(len(present) - 1) // 2]) if self.n_from == "median" else round(present.mean())
        n_per_class = self.n_per_class or middle
        kept_rows, factors = [], []
        for code in np.flatnonzero(counts):
            rows = sure[label[sure] == code]
            best = rows[best_first(confidence[rows], ids[rows])[:n_per_class]]
            kept_rows.append(best)
            factors.append(np.full(len(best), n_per_class / len(best)))
        row, factor = np.concatenate(kept_rows), np.concatenate(factors)
        whole = np.floor(factor)
        copies = whole + (uniform(ids[row], "balanced", evidence.seed, number) < factor - whole)
        return Selection.of(ids[row], label[row], confidence[row], number, copies=copies)

    def _surest(self, evidence: Evidence, label: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        sure = np.flatnonzero(confidence >= np.float32(self.min_confidence))
        least = min(1.0, self.share + self.share_step * evidence.round)
        if least == 1 or not len(sure):
            return sure
        # of each class, the surest first
        classes = [sure[label[sure] == code] for code in np.unique(label[sure])]
        classes = [rows[best_first(confidence[rows], evidence.ids[rows])] for rows in classes]
        shares = [least] if self.precision is None else [1.0, *np.linspace(1, least, STEPS)[1:-1], least]
        for share in shares:
            # the small term: a share such as 0.7 of 10 lands just above 7
            kept = np.concatenate([rows[: math.ceil(share * len(rows) - 1e-6)] for rows in classes])
            if share == least or confidence[kept].mean(dtype=np.float64) >= (self.precision or 0):
                break
        return np.sort(kept)
