"""The protocol of every selection rule: evidence in, kept patches out, pure."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from data.section import Section
from stages.select.evidence import Evidence
from stages.select.negatives import Negatives
from stages.select.propagate import Propagate
from stages.select.selection import Selection

Need = Literal["held_out", "deviation"]


class Rule(Section):
    """A way to choose pseudo-labels. A rule is one file in `rules/` and its `rule` is the file's name.

    `needs` says what must be there before the first round: `held_out`, a validation split, `deviation`, MC-dropout
    passes (`predict.mc_passes`).
    """

    needs: ClassVar[frozenset[Need]] = frozenset()

    rule: str
    calibrate: Annotated[
        bool, Field(description="scale the scores by a temperature fitted on validation before comparing them")
    ] = True
    align: Annotated[
        Literal["none", "uniform", "labelled"],
        Field(
            description="after the temperature, draw the mean belief over the pool towards equal shares of the classes "
            "or those of the given labels (ReMixMatch); a sampled label set may not be as the pool is"
        ),
    ] = "none"
    align_exponent: Annotated[
        float, Field(ge=0, le=1, description="of the labelled shares; below 1 draws them towards equal ones")
    ] = 1.0
    propagate: Annotated[
        Propagate | None,
        Field(
            description="what a patch is comes from the given labels by way of alike patches, not from the teacher's "
            "own scores: {} for the defaults; needs predict.embeddings or predict.encoder"
        ),
    ] = None
    align_steps: Annotated[
        int, Field(ge=1, le=1000, description="1: the published formula; more: until the mean belief is the target")
    ] = 1

    def exponent(self, round: int) -> float:
        """Of the labelled shares in this round (counted from 0)."""
        return self.align_exponent

    @abstractmethod
    def select(self, evidence: Evidence) -> Selection:
        """Choose from the pool. Pure: the same evidence gives the same selection, whatever the order of its rows.

        Ties go to the lower patch id. `first_round` of every row is `evidence.round`.
        """

    def thresholds(self, evidence: Evidence) -> np.ndarray | None:
        """The probability a class had to reach, (C,) float64, NaN: it keeps nothing. None: not a rule of thresholds."""
        return None

    def negatives(self, evidence: Evidence) -> Negatives | None:
        """What patches are not, for rules that say so. None: this rule does not, as it is set."""
        return None

    def remarks(self, evidence: Evidence) -> list[str]:
        """What a person should know of this choice: alarms in quality.json."""
        return []


def best_first(confidence: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Row numbers by falling confidence, ties by rising patch id. Both (N,) -> (N,) int64."""
    return np.lexsort((ids, -confidence))


def top_class(probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most probable class (ties: the lower) and its probability: (N, C) -> (N,) int16, (N,) float32."""
    label = probs.argmax(axis=1)
    return label.astype(np.int16), np.take_along_axis(probs, label[:, None], axis=1)[:, 0]


def reaching(evidence: Evidence, thresholds: np.ndarray, round: int) -> Selection:
    """The patches whose most probable class reaches that class's threshold, (C,); NaN is reached by none."""
    label, confidence = top_class(evidence.probs)
    kept = confidence >= thresholds.astype(np.float32)[label]
    return Selection.of(evidence.ids[kept], label[kept], confidence[kept], round)
