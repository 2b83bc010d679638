"""How good labels, confidences and selections are: pure functions of arrays.

N patches, C classes; `label`, `predicted`: (N,) integers in [0, C); a value that is not defined is NaN,
which `plain` turns into JSON's null.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 15  # of confidence, where it is held against accuracy


def confusion(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int64: rows the label, columns the prediction."""
    flat = label.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def accuracy(counts: np.ndarray) -> float:
    """Share of right predictions in a confusion matrix."""
    return ratio(np.trace(counts), counts.sum())


def recall(counts: np.ndarray) -> np.ndarray:
    """Recall a class, (C,) float64; NaN for a class without a patch."""
    return _divide(np.diagonal(counts), counts.sum(axis=1))


def balanced_accuracy(counts: np.ndarray) -> float:
    """Mean recall over the classes that have a patch."""
    return _mean(recall(counts))


def macro_f1(counts: np.ndarray) -> float:
    """Mean F1 over the classes that are a label or a prediction of some patch."""
    return _mean(_divide(2 * np.diagonal(counts), counts.sum(axis=0) + counts.sum(axis=1)))


def auroc(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each class against the rest, (C,) float64. scores: (N, C), higher is likelier.

    The chance that a patch of the class has a higher score in its column than one of another class, half of it where
    they are equal (Mann and Whitney 1947); NaN where either is missing. Ranks are summed exactly, so that neither
    threads nor the order of patches change a digit.
    """
    found = np.full(scores.shape[1], math.nan)
    for k, column in enumerate(scores.T):
        own = label == k
        n, others = float(own.sum()), float((~own).sum())
        if n and others:
            _, at, equal = np.unique(column, return_inverse=True, return_counts=True)
            rank = np.cumsum(equal) - (equal - 1) / 2
            found[k] = (rank[at][own].sum() - n * (n + 1) / 2) / (n * others)
    return found


def nll(log_probs: np.ndarray, label: np.ndarray) -> float:
    """Mean negative log-likelihood in nats. log_probs: (N, C)."""
    return ratio(-log_probs[np.arange(len(label)), label].astype(np.float64).sum(), len(label))


def calibration_bin(confidence: np.ndarray) -> np.ndarray:
    """Which of BINS equal bins of (0, 1] each confidence is in: (N,) int64."""
    at: np.ndarray = np.clip(np.ceil(confidence.astype(np.float64) * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return at


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over the bins. confidence: (N,); right: (N,) bool."""
    gap = np.bincount(calibration_bin(confidence), weights=confidence.astype(np.float64) - right, minlength=BINS)
    return ratio(np.abs(gap).sum(), len(confidence))


def churn(before: np.ndarray, after: np.ndarray) -> float:
    """Share of patches whose predicted class changed. Both (N,), the same patches in the same order."""
    assert before.shape == after.shape
    return ratio((before != after).sum(), len(after))


def kept_churn(before: np.ndarray, after: np.ndarray) -> float:
    """1 - Jaccard index of two sets given as (M,) arrays of unique keys; 0 when both are empty.

    A key is a pair of patch and label: a changed label is a pair that went and one that came.
    """
    common = len(np.intersect1d(before, after, assume_unique=True))
    either = len(before) + len(after) - common
    return 1.0 - common / either if either else 0.0


def top5_share(codes: np.ndarray, kept: np.ndarray) -> float:
    """Share of kept patches that lie in the five commonest slides (or patients). NaN where none is known.

    codes: (N,) of every patch, -1 unknown; kept: (N,) bool. Patches of unknown slides count in none.
    """
    known = codes[kept & (codes >= 0)]
    counts = np.sort(np.unique(known, return_counts=True)[1])
    return ratio(counts[-5:].sum(), len(known))


def precision_recall(right: np.ndarray, audited: int) -> tuple[float, float]:
    """Share of kept rows that are right, and right rows as a share of all patches whose truth is known.

    right: (M,) bool, one a kept row with known truth; audited: kept or not, the patches that could have been right.
    """
    return ratio(right.sum(), len(right)), ratio(right.sum(), audited)


def evaluate(log_probs: np.ndarray, label: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """The figures of metrics.json for one split of at least one patch. log_probs: (N, C) of any float type."""
    assert len(label) > 0
    from scipy.special import logsumexp

    log_probs = log_probs.astype(np.float64)
    log_probs = log_probs - logsumexp(log_probs, axis=1, keepdims=True)  # float16 rows sum to 1 only nearly
    predicted = log_probs.argmax(axis=1)
    counts, areas = confusion(label, predicted, len(classes)), auroc(log_probs, label)
    return {
        "n": len(label),
        "accuracy": plain(accuracy(counts)),
        "balanced_accuracy": plain(balanced_accuracy(counts)),
        "macro_f1": plain(macro_f1(counts)),
        "auroc": plain(_mean(areas)),
        "nll": plain(nll(log_probs, label)),
        "ece": plain(expected_calibration_error(np.exp(log_probs.max(axis=1)), predicted == label)),
        "recall": {name: plain(float(value)) for name, value in zip(classes, recall(counts), strict=True)},
        "class_auroc": {name: plain(float(value)) for name, value in zip(classes, areas, strict=True)},
    }


def plain(value: float) -> float | None:
    """A figure as JSON has it: NaN (not defined) is null; 6 digits after the point are kept."""
    return None if math.isnan(value) else round(float(value), 6)


def ratio(part: float | np.number, whole: float | np.number) -> float:
    """part / whole; NaN when whole is 0."""
    return float(part) / float(whole) if whole else math.nan


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return result


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return ratio(defined.sum(), len(defined))
