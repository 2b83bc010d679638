"""From scores to what is believed: temperature first, then alignment. One value, written into quality.json."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data.patches.labels import GivenLabels
from stages.blocks import let_go
from stages.scores import Scores, softmax_columns
from stages.select.alignment import aligned, class_weights, tempered
from stages.select.calibrate import Told, class_temperatures, fit_temperature, matched_temperature
from stages.select.evidence import top_class
from stages.select.rule import Rule


@dataclass(frozen=True)
class Belief:
    """How the scores of a round are read: by the rule that chooses, and by the student that learns them.

    temperature: of all patches; by_class: instead of it one for those of each best class, None: the same for all;
    weights: one a class, None: not aligned; target and exponent: what they came from, for people.
    """

    temperature: float
    by_class: tuple[float, ...] | None = None
    weights: tuple[float, ...] | None = None
    target: str = "none"
    exponent: float = 1.0

    def of(self, scores: Scores) -> np.ndarray:
        """(N, C) float32, rows sum to 1."""
        probs = scores.probs(self.temperatures(scores))
        return probs if self.weights is None else aligned(probs, np.array(self.weights))

    def temperatures(self, scores: Scores) -> float | np.ndarray:
        """The temperature of all, or of each patch: (N,)."""
        if self.by_class is None:
            return self.temperature
        each: np.ndarray = np.array(self.by_class, np.float32)[top_class(scores.log_probs)[0]]
        return each

    def best(self, scores: Scores) -> np.ndarray:
        """The class most believed in: (N,) int16. Without alignment no temperature can change it, nor rounding."""
        return top_class(scores.log_probs if self.weights is None else Believed(self, scores))[0]

    def plain(self) -> dict[str, Any]:
        """The part of quality.json that `load` reads."""
        alignment = {"target": self.target, "exponent": self.exponent, "weights": self.weights}
        return {
            "temperature": self.temperature,
            "temperatures": self.by_class,
            "alignment": None if self.weights is None else alignment,
        }

    @staticmethod
    def load(directory: Path) -> "Belief":
        """The belief of a select stage's directory."""
        found = json.loads((directory / "quality.json").read_text())
        by_class, alignment = found.get("temperatures"), found["alignment"]
        plain = Belief(found["temperature"], by_class and tuple(by_class))
        if alignment is None:
            return plain
        weights, target, exponent = (alignment[name] for name in ("weights", "target", "exponent"))
        return replace(plain, weights=tuple(weights), target=target, exponent=float(exponent))


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
        found = softmax_columns(own.log_probs, self.belief.temperatures(own)).T if plain else self.belief.of(own)
        let_go(own.log_probs)
        return found


def fit_belief(
    rule: Rule,
    pool: Scores,
    validation: Scores,
    given: GivenLabels,
    labelled: np.ndarray,
    round: int,
    told: Told | None = None,
) -> Belief:
    """Temperature from the `given` labels of validation, class weights from the pool. labelled: (C,) labels a class.

    told: how often the labels themselves are told right, where that says more than the few of validation.
    """
    if not rule.calibrate:
        plain = Belief(1.0)
    elif told is None:
        plain = Belief(fit_temperature(validation, given))
    else:
        plain = Belief(matched_temperature(pool, told.accuracy), class_temperatures(pool, told))
    if rule.align == "none":
        return plain
    exponent = rule.exponent(round)
    share = np.ones(len(labelled)) if rule.align == "uniform" else labelled.astype(np.float64)
    weights = class_weights(Believed(plain, pool), tempered(share / share.sum(), exponent), rule.align_steps)
    return replace(plain, weights=tuple(float(weight) for weight in weights), target=rule.align, exponent=exponent)
