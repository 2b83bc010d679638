"""Keep a fixed number of patches a class: the teacher-student chain of Yalniz et al. 2019 and Shaw et al. 2020."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.select.evidence import Evidence
from stages.select.rule import Rule, best_first
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
        """See Rule."""
        ids, probs, round = evidence.ids, evidence.probs, evidence.round
        classes, k = probs.shape[1], self.k + self.k_step * round
        # a stable sort gives equal probabilities to the lower class
        top = np.argsort(-probs, axis=1, kind="stable")[:, : self.p] if self.p > 1 else probs.argmax(axis=1)[:, None]
        rows, label = [np.empty(0, np.int64)], [np.empty(0, np.int16)]
        for code in range(classes):
            candidates = np.flatnonzero((top == code).any(axis=1))
            best = candidates[best_first(probs[candidates, code], ids[candidates])[:k]]
            rows.append(best)
            label.append(np.full(len(best), code, np.int16))
        row, code_of = np.concatenate(rows), np.concatenate(label)
        return Selection.of(ids[row], code_of, probs[row, code_of], round)
