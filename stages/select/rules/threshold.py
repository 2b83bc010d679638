"""Keep every patch whose highest probability reaches a threshold."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.select.evidence import Evidence
from stages.select.rule import Rule, reaching
from stages.select.selection import Selection


class Threshold(Rule):
    """Keep a patch under its most probable class if that probability is at least `tau`."""

    rule: Literal["threshold"] = "threshold"
    tau: Annotated[float, Field(gt=0, le=1, description="lowest probability that is believed")] = 0.9

    def select(self, evidence: Evidence) -> Selection:
        """See Rule."""
        return reaching(evidence, self.thresholds(evidence), evidence.round)

    def thresholds(self, evidence: Evidence) -> np.ndarray:
        """See Rule."""
        return np.full(evidence.probs.shape[1], self.tau)
