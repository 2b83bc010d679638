"""Keep every patch whose highest probability reaches a threshold."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.select.choice import Choice
from stages.select.evidence import Evidence
from stages.select.rule import OfBest, reaching


class Threshold(OfBest):
    """Keep a patch under its most probable class if that probability is at least `tau`."""

    rule: Literal["threshold"] = "threshold"
    tau: Annotated[float, Field(gt=0, le=1, description="lowest probability that is believed")] = 0.9

    def choose(self, evidence: Evidence) -> Choice:
        """See OfBest."""
        return reaching(evidence, self.thresholds(evidence))

    def thresholds(self, evidence: Evidence) -> np.ndarray:
        """See Rule."""
        return np.full(evidence.width, self.tau)
