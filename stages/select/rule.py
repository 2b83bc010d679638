"""The protocol of every selection rule: scores in, kept patches out, pure."""

from abc import abstractmethod
from typing import Annotated

import numpy as np
from pydantic import Field

from data.section import Section
from stages.scores import Scores
from stages.select.selection import Selection


class Rule(Section):
    """A way to choose pseudo-labels. A rule is one file in `rules/` and its `rule` is the file's name."""

    rule: str
    calibrate: Annotated[
        bool, Field(description="scale the scores by a temperature fitted on validation before comparing them")
    ] = True

    @abstractmethod
    def select(self, scores: Scores, probs: np.ndarray, round: int, seed: int) -> Selection:
        """Choose from the pool. Pure: the same arguments give the same selection, whatever the order of the rows.

        scores: of the pool, N patches; probs: (N, C) float32, calibrated, rows sum to 1, same rows as `scores`;
        round: counted from 0. Ties go to the lower patch id. `first_round` of every row is `round`.
        """


def best_first(confidence: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Row numbers by falling confidence, ties by rising patch id. Both (N,) -> (N,) int64."""
    return np.lexsort((ids, -confidence))


def top_class(probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most probable class (ties: the lower) and its probability: (N, C) -> (N,) int16, (N,) float32."""
    label = probs.argmax(axis=1)
    return label.astype(np.int16), np.take_along_axis(probs, label[:, None], axis=1)[:, 0]
