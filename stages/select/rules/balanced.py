"""Filter, then balance: the rule of Noisy Student (Xie et al. 2020)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from data.keys import uniform
from stages.select.evidence import Evidence
from stages.select.rule import Rule, best_first, top_class
from stages.select.selection import Selection


class Balanced(Rule):
    """Drop the unsure, cut each class to its most sure `n_per_class`, repeat the classes that have fewer.

    A patch belongs to its most probable class. A class of m < n patches is seen n / m times, rounded up or down
    per patch by a draw keyed by seed, round and patch id, so that the mean is exact and nothing depends on order.
    Without `n_per_class`, n is the lower median of what the classes with any sure patch have: one huge class
    cannot pull the rest into endless copies, one tiny class cannot empty them.
    """

    rule: Literal["balanced"] = "balanced"
    min_confidence: Annotated[float, Field(ge=0, le=1, description="patches below it are dropped")] = 0.3
    n_per_class: Annotated[
        int | None, Field(ge=1, description="patches a class, copies counted; null: the median class")
    ] = None

    def select(self, evidence: Evidence) -> Selection:
        """See Rule."""
        ids, round = evidence.ids, evidence.round
        label, confidence = top_class(evidence.probs)
        sure = np.flatnonzero(confidence >= np.float32(self.min_confidence))
        counts = np.bincount(label[sure], minlength=evidence.probs.shape[1])
        present = np.sort(counts[counts > 0])
        if not len(present):
            return Selection.of(ids[sure], label[sure], confidence[sure], round)
        n_per_class = self.n_per_class or int(present[(len(present) - 1) // 2])
        kept_rows, factors = [], []
        for code in np.flatnonzero(counts):
            rows = sure[label[sure] == code]
            best = rows[best_first(confidence[rows], ids[rows])[:n_per_class]]
            kept_rows.append(best)
            factors.append(np.full(len(best), n_per_class / len(best)))
        row, factor = np.concatenate(kept_rows), np.concatenate(factors)
        whole = np.floor(factor)
        copies = whole + (uniform(ids[row], "balanced", evidence.seed, round) < factor - whole)
        return Selection.of(ids[row], label[row], confidence[row], round, copies=copies)
