"""A threshold a class, lower for what is harder to learn: FlexMatch (Zhang et al. 2021, arXiv 2110.08263)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.blocks import counts
from stages.select.choice import Choice
from stages.select.evidence import Evidence
from stages.select.rule import OfBest, reaching


class Adaptive(OfBest):
    """Keep a patch if its most probable class reaches tau_c = tau * beta_c / (2 - beta_c).

    beta_c is the number of patches that are c with at least `tau`, as a share of the largest such number. FlexMatch
    counts over its whole training; here the teacher is finished, so one count over the pool says the same. A class
    with no confident patch gets the threshold 0, as published: all that is most probably it is kept. With `warm_up`
    the divisor is never below the number of patches that are confident of nothing (their equation 11), which keeps
    thresholds low as long as most of the pool is unsure. Where no class has a confident patch, nothing tells them
    apart and every threshold is `tau`.
    """

    rule: Literal["adaptive"] = "adaptive"
    tau: Annotated[float, Field(gt=0, le=1, description="threshold of the class that is learnt best")] = 0.95
    warm_up: Annotated[bool, Field(description="lower all thresholds while most of the pool is unsure")] = False
    floor: Annotated[float, Field(ge=0, le=1, description="no threshold falls below it; 0: as published")] = 0.0

    def choose(self, evidence: Evidence) -> Choice:
        """See OfBest."""
        return reaching(evidence, self.thresholds(evidence))

    def thresholds(self, evidence: Evidence) -> np.ndarray:
        """See Rule."""
        label, confidence = evidence.best
        sure = counts(label, evidence.width, confidence >= np.float32(self.tau))
        largest = int(sure.max(initial=0))
        if largest == 0:
            return np.full(len(sure), self.tau)
        if self.warm_up:
            largest = max(largest, len(label) - int(sure.sum()))
        beta = sure / largest
        scaled: np.ndarray = self.tau * beta / (2 - beta)
        return scaled.clip(min=self.floor)
