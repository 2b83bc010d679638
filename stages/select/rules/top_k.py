"""Keep a fixed number of patches a class: the teacher-student chain of Yalniz et al. 2019 and Shaw et al. 2020."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.blocks import taken
from stages.select.evidence import Evidence, top_classes
from stages.select.rule import Rule, best_first, surest
from stages.select.selection import Selection


class TopK(Rule):
    """Per class, the `k` patches with the highest probability of it, among those with it in their top `p` classes.

    With p > 1 a rare class that never wins still gets patches, and a patch can stand under several classes.
    """

    rule: Literal["top_k"] = "top_k"
    k: Annotated[int, Field(ge=1, description="patches kept a class, in round 0")] = 1000
    k_step: Annotated[
        int, Field(ge=0, description="how much k grows with every round: trust a better teacher more")
    ] = 0
    p: Annotated[int, Field(ge=1, description="a patch is a candidate for its p most probable classes")] = 1

    def select(self, evidence: Evidence) -> Selection:
        """See Rule. Holds p classes and probabilities a patch."""
        ids, k = evidence.ids, self.k + self.k_step * evidence.round
        ranks = [evidence.best] if self.p == 1 else top_classes(evidence.believed, self.p)
        found = [(ids[:0], np.empty(0, np.int16), np.empty(0, np.float32))]
        for code in range(evidence.width):
            # a patch is a candidate for a class once, at the rank that the class has for it
            own = [_surest_rows(confidence, ids, label == code, k) for label, confidence in ranks]
            row = np.concatenate(own)
            probs = np.concatenate([rank[1][rows] for rank, rows in zip(ranks, own, strict=True)])
            named = taken(ids, row)
            best = best_first(probs, named)[:k]
            found.append((named[best], np.full(len(best), code, np.int16), probs[best]))
        named, label, probs = (np.concatenate(column) for column in zip(*found, strict=True))
        return Selection.of(named, label, probs, evidence.round)


def _surest_rows(confidence: np.ndarray, ids: np.ndarray, among: np.ndarray, most: int) -> np.ndarray:
    return np.flatnonzero(surest(confidence, ids, among, most))
