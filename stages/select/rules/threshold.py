"""Keep every patch whose highest probability reaches a threshold."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.scores import Scores
from stages.select.rule import Rule, top_class
from stages.select.selection import Selection


class Threshold(Rule):
    """Keep a patch under its most probable class if that probability is at least `tau`."""

    rule: Literal["threshold"] = "threshold"
    tau: Annotated[float, Field(gt=0, le=1, description="lowest probability that is believed")] = 0.9

    def select(self, scores: Scores, probs: np.ndarray, round: int, seed: int) -> Selection:
        """See Rule."""
        label, confidence = top_class(probs)
        kept = confidence >= np.float32(self.tau)
        return Selection.of(scores.ids[kept], label[kept], confidence[kept], round)
