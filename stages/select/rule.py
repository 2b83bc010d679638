"""The protocol of every selection rule: evidence in, kept patches out, pure."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from data.section import Section
from stages.blocks import blocks, taken
from stages.select.choice import Choice, pieces_of
from stages.select.evidence import Evidence
from stages.select.negatives import Negatives
from stages.select.propagate import Propagate
from stages.select.selection import Selection, joined

Need = Literal["held_out", "deviation"]


class Rule(Section):
    """A way to choose pseudo-labels. A rule is one file in `rules/` and its `rule` is the file's name.

    `needs` says what must be there before the first round: `held_out`, a validation split, `deviation`, MC-dropout
    passes (`predict.mc_passes`).
    """

    needs: ClassVar[frozenset[Need]] = frozenset()

    rule: str
    calibrate: Annotated[
        bool,
        Field(
            description="scale the scores before comparing them, by a temperature fitted on validation; with propagate "
            "by one for each class, so that it is believed as often as labels are told right"
        ),
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

    def pieces(self, evidence: Evidence) -> Iterator[Selection]:
        """What `select` gives, cut where its writer likes: a rule that keeps much of a large pool has it in pieces.

        Where the pool stands by rising id, so do they, within and one after the other. Whatever `select` raises is
        raised by the call, before the first piece.
        """
        return iter([self.select(evidence)])

    def thresholds(self, evidence: Evidence) -> np.ndarray | None:
        """The probability a class had to reach, (C,) float64, NaN: it keeps nothing. None: not a rule of thresholds."""
        return None

    def negatives(self, evidence: Evidence) -> Iterator[Negatives] | None:
        """What patches are not, in pieces as those of `pieces`. None: this rule, as it is set, does not say."""
        return None

    def remarks(self, evidence: Evidence) -> list[str]:
        """What a person should know of this choice: alarms in quality.json."""
        return []


class OfBest(Rule):
    """A rule that keeps patches under their most probable class: all that it has to say is which, and how much."""

    @abstractmethod
    def choose(self, evidence: Evidence) -> Choice:
        """Which patches are kept. Pure, and whatever the order of the rows, as `select` is."""

    def select(self, evidence: Evidence) -> Selection:
        """See Rule."""
        return joined(list(self.pieces(evidence)))

    def pieces(self, evidence: Evidence) -> Iterator[Selection]:
        """See Rule."""
        return pieces_of(evidence, self.choose(evidence))


def reaching(evidence: Evidence, thresholds: np.ndarray) -> Choice:
    """The patches whose most probable class reaches that class's threshold, (C,); NaN is reached by none."""
    label, confidence = evidence.best
    kept = np.zeros(len(evidence), bool)
    for rows in blocks(len(evidence)):
        kept[rows] = confidence[rows] >= thresholds.astype(np.float32)[label[rows]]
    return Choice(kept)


def surest(confidence: np.ndarray, ids: np.ndarray, among: np.ndarray, most: int) -> np.ndarray:
    """Of the patches `among`, (N,) bool, the `most` of highest confidence, ties to the lower id: (N,) bool.

    Without a sort, which would take most of the time of a large pool.
    """
    own = confidence[among]  # a copy
    if most >= len(own):
        return among
    if most <= 0:
        return np.zeros(len(among), bool)
    own.partition(len(own) - most)
    least = own[len(own) - most]
    kept: np.ndarray = among & (confidence > least)
    tied = np.flatnonzero(among & (confidence == least))
    missing = most - int(np.count_nonzero(kept))
    kept[tied[np.argsort(taken(ids, tied), kind="stable")[:missing]]] = True
    return kept
