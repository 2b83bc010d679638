"""Temperature scaling: make the confidence of a model mean what it says, on labels a human gave (Guo et al. 2017)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.patches.labels import GivenLabels
from stages.measures.quality import confusion, nll, plain, ratio
from stages.scores import Scores
from stages.select.evidence import top_class

LOWEST, HIGHEST = 0.05, 20.0
FEW = 5  # labels: how much the figure of all classes counts beside those of one
FARTHEST = 20.0  # logarithm of odds: surer is nothing


@dataclass(frozen=True)
class Told:
    """What labels were taken for by others.

    said: (C,) labels told to be each class; right: (C,) those of them that are. Means of several ways, so not whole.
    validation: how many labels of validation had a part in the accuracy; they have none in how classes differ.
    cases: how many labels would know the accuracy as well, if all counted alike; None: they do, all of them.
    """

    said: np.ndarray
    right: np.ndarray
    validation: int = 0
    cases: float | None = None

    @staticmethod
    def of(counts: np.ndarray) -> "Told":
        """From labels by class (row) and what they were told to be (column): (C, C)."""
        return Told(counts.sum(axis=0), counts.diagonal())

    @property
    def accuracy(self) -> float:
        """The share that was told right."""
        return float(self.right.sum() / self.said.sum())

    @property
    def labels(self) -> float:
        """How many there were."""
        return float(self.said.sum())

    def at(self, accuracy: float, validation: int, cases: float) -> "Told":
        """The same at another accuracy: the odds of being right change by one factor for all classes."""
        # half a label of either kind: of a few that are all right nobody knows that they always are
        odds = (self.right + 0.5) / (self.said - self.right + 0.5)
        low, high = -FARTHEST, FARTHEST
        for _ in range(60):
            middle = (low + high) / 2
            right = self.said * (1 - 1 / (1 + odds * math.exp(middle)))
            low, high = (middle, high) if right.sum() < accuracy * self.labels else (low, middle)
        return Told(self.said, right, validation, cases)

    def clearly_above(self, other: "Told") -> bool:
        """Whether these are told right more often than those, by more than two standard errors."""
        # one more right and one more wrong: of a handful that are all right nobody knows that they always are
        rates = [(float(one.right.sum() + 1) / (one.labels + 2), one.labels + 2) for one in (self, other)]
        error = math.sqrt(sum(rate * (1 - rate) / count for rate, count in rates))
        return self.accuracy - other.accuracy > 2 * error

    def precision(self) -> np.ndarray:
        """How often each class is right where it is told, with FEW labels of the mean class beside its own: (C,)."""
        shrunk: np.ndarray = (self.right + FEW * self.accuracy) / (self.said + FEW)
        return shrunk

    def plain(self) -> dict[str, Any]:
        """For quality.json: the share told right, and by class how many were told to be it and how often so."""
        each = [
            {"told": plain(said), "precision": plain(ratio(right, said))}
            for said, right in zip(self.said.tolist(), self.right.tolist(), strict=True)
        ]
        return {
            "labels": round(self.labels),
            "accuracy": plain(self.accuracy),
            "validation": self.validation,
            "cases": round(self.labels if self.cases is None else self.cases),
            "per_class": each,
        }


def told_of(scores: Scores, given: GivenLabels) -> Told:
    """What the patches of `given` are told to be by scores that know none of their labels. Each must have a score."""
    said = top_class(scores.log_probs[rows_of(scores, given.ids)])[0]
    return Told.of(confusion(given.label, said, scores.log_probs.shape[1]))


def fit_temperature(scores: Scores, given: GivenLabels) -> float:
    """The temperature in [0.05, 20] with the lowest negative log-likelihood of the given labels; 1 without any.

    Every id of `given` must have a score. The likelihood has one minimum in the temperature, 1 is kept unless
    something is better: calibration never raises the likelihood's loss. The order of classes never changes.
    """
    from scipy.optimize import minimize_scalar

    if not len(given):
        return 1.0
    log_probs = scores.log_probs[rows_of(scores, given.ids)].astype(np.float64)

    def loss(log_t: float) -> float:
        return nll(log_softmax(log_probs, float(np.exp(log_t))), given.label)

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-6})
    # three digits after the point are more than a few hundred labels can tell, and read well in a report
    temperature = min(max(round(float(np.exp(found.x)), 4), LOWEST), HIGHEST)
    return temperature if loss(float(np.log(temperature))) <= loss(0.0) else 1.0


def matched_temperature(scores: Scores, accuracy: float) -> float:
    """The temperature in [0.05, 20] at which the mean highest probability is the accuracy, or as near as it gets."""
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(30):  # confidence falls as temperature rises
        middle = (low + high) / 2
        if float(scores.probs(float(np.exp(middle))).max(axis=1).mean()) > accuracy:
            low = middle
        else:
            high = middle
    return round(float(np.exp((low + high) / 2)), 4)


def class_temperatures(scores: Scores, told: Told) -> tuple[float, ...]:
    """A temperature in [0.05, 20] for the patches of each best class: (C,). None changes which class is the best.

    Their mean highest probability becomes the precision of that class; where the mean over all patches would then be
    above the accuracy, all are lowered by one factor to reach it. One temperature alone believes the rarer classes too
    much: labels that spread alike from all classes find too many patches of them.
    """
    best, precision = top_class(scores.log_probs)[0], told.precision()
    shares = np.bincount(best, minlength=len(precision)) / max(len(best), 1)
    # never raised: a pool that is told more of the doubtful classes than the labels were is told right less often
    wanted = precision * min(1.0, told.accuracy / max(float(shares @ precision), 1e-12))
    each = (Scores(scores.ids[best == k], scores.log_probs[best == k]) for k in range(len(precision)))
    return tuple(
        matched_temperature(own if len(own) else scores, float(share)) for own, share in zip(each, wanted, strict=True)
    )


def log_softmax(log_probs: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """log(softmax(log_probs / temperature)), one or (N,): (N, C) float64."""
    logits = log_probs.astype(np.float64) / np.reshape(temperature, (-1, 1))
    logits -= logits.max(axis=1, keepdims=True, initial=-np.inf)
    result: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return result


def rows_of(scores: Scores, ids: np.ndarray) -> np.ndarray:
    """Rows of `scores` that hold `ids`: (M,) int64. All must be there."""
    rows = np.searchsorted(scores.ids, ids)
    assert bool((scores.ids[np.minimum(rows, len(scores) - 1)] == ids).all()), "a patch was not scored"
    return rows
