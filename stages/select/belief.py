"""From scores to what is believed: temperature first, then alignment. One value, written into quality.json."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.labels import GivenLabels
from stages.blocks import let_go
from stages.scores import Scores, softmax_columns
from stages.select.alignment import aligned, class_weights, tempered
from stages.select.calibrate import fit_temperature
from stages.select.evidence import top_class
from stages.select.rule import Rule


@dataclass(frozen=True)
class Belief:
    """How the scores of a round are read: by the rule that chooses, and by the student that learns them.

    weights: one a class, None: not aligned; target and exponent: what they came from, for people.
    """

    temperature: float
    weights: tuple[float, ...] | None = None
    target: str = "none"
    exponent: float = 1.0

    def of(self, scores: Scores) -> np.ndarray:
        """(N, C) float32, rows sum to 1."""
        probs = scores.probs(self.temperature)
        return probs if self.weights is None else aligned(probs, np.array(self.weights))

    def best(self, scores: Scores) -> np.ndarray:
        """The class most believed in: (N,) int16. Without alignment no temperature can change it, nor rounding."""
        return top_class(scores.log_probs if self.weights is None else Believed(self, scores))[0]

    def plain(self) -> dict[str, Any]:
        """The part of quality.json that `load` reads."""
        alignment = {"target": self.target, "exponent": self.exponent, "weights": self.weights}
        return {"temperature": self.temperature, "alignment": None if self.weights is None else alignment}

    @staticmethod
    def load(directory: Path) -> "Belief":
        """The belief of a select stage's directory."""
        found = json.loads((directory / "quality.json").read_text())
        alignment = found["alignment"]
        if alignment is None:
            return Belief(found["temperature"])
        return Belief(
            found["temperature"], tuple(alignment["weights"]), alignment["target"], float(alignment["exponent"])
        )


@dataclass(frozen=True)
class Believed:
    """What a belief says of scores, computed where it is asked for: (N, C) float32, rows sum to 1."""

    belief: Belief
    scores: Scores

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C)."""
        return self.scores.log_probs.shape

    def __getitem__(self, rows: slice) -> np.ndarray:
        """(M, C)."""
        own = Scores(self.scores.ids[rows], self.scores.log_probs[rows])
        plain = self.belief.weights is None
        found = softmax_columns(own.log_probs, self.belief.temperature).T if plain else self.belief.of(own)
        let_go(own.log_probs)
        return found


def fit_belief(
    rule: Rule,
    pool: Scores,
    validation: Scores,
    given: GivenLabels,
    labelled: np.ndarray,
    round: int,
    temperature: float | None = None,
) -> Belief:
    """Temperature from the `given` labels of validation, class weights from the pool. labelled: (C,) labels a class.

    temperature: where it is known from elsewhere.
    """
    if temperature is None:
        temperature = fit_temperature(validation, given) if rule.calibrate else 1.0
    if rule.align == "none":
        return Belief(temperature)
    exponent = rule.exponent(round)
    share = np.ones(len(labelled)) if rule.align == "uniform" else labelled.astype(np.float64)
    weights = class_weights(
        Believed(Belief(temperature), pool), tempered(share / share.sum(), exponent), rule.align_steps
    )
    return Belief(temperature, tuple(float(weight) for weight in weights), rule.align, exponent)
