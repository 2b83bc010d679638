"""Keep what several teachers agree on: co-training (Blum and Mitchell 1998), ST++ (Yang et al. 2022)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.select.choice import Choice
from stages.select.evidence import Evidence, Probs, top_class
from stages.select.rule import OfBest


class Agreement(OfBest):
    """Keep a patch if every other opinion gives it the same most probable class.

    The opinions are those of the teacher of the round before and of earlier states of this teacher
    (`teacher.snapshots`, `student.snapshots`; ST++ compares checkpoints). A label that changes while a teacher
    learns, or from one teacher to the next, is wrong more often than one that stays. Where there is no second
    opinion, in a first round without snapshots, `min_confidence` alone decides and a remark says so.
    """

    rule: Literal["agreement"] = "agreement"
    min_confidence: Annotated[
        float, Field(ge=0, le=1, description="of the teacher of this round; agreement alone can be of the unsure")
    ] = 0.5

    def choose(self, evidence: Evidence) -> Choice:
        """See OfBest."""
        label, confidence = evidence.best
        return Choice((confidence >= np.float32(self.min_confidence)) & agreed(label, evidence.opinions))

    def remarks(self, evidence: Evidence) -> list[str]:
        """See Rule."""
        if evidence.opinions:
            return []
        return [
            f"agreement: no second opinion in round {evidence.round}, so confidence of at least "
            f"{self.min_confidence:g} alone decided"
        ]


def agreed(label: np.ndarray, opinions: tuple[Probs, ...]) -> np.ndarray:
    """Whether all opinions, each (N, C), have `label` (N,) as their most probable class: (N,) bool."""
    same = np.ones(len(label), bool)
    for opinion in opinions:
        same &= top_class(opinion)[0] == label
    return same
