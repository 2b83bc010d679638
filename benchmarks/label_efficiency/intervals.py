"""Figures of predictions and their 95 % intervals by bootstrap over whole groups. Pure.

A group is a patient, else a slide (or what stands for it), else a patch. It enters every figure only through its
confusion matrix and its calibration bins, so a resample is a sum of whole groups' tallies and costs no pass over
patches (Efron & Tibshirani 1993, chapter 8: the unit that is drawn is the unit that is independent).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from data.keys import generator
from stages.measures.paired import MIN_GROUPS

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece")
DRAWS = 1000
BINS = 15
LEVEL = 0.95
_CHUNK = 4_000_000  # drawn groups at a time


@dataclass(frozen=True)
class Predictions:
    """What a model says of patches whose label is known.

    ids: (N,) uint64; log_probs: (N, C); label: (N,) in [0, C); group: (N,) int64.
    """

    ids: np.ndarray
    log_probs: np.ndarray
    label: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Tallies:
    """What each of G groups holds.

    confusion: (G, C, C), rows the label; bins: (G, BINS, 3): count, summed confidence, right.
    """

    confusion: np.ndarray
    bins: np.ndarray

    def __len__(self) -> int:
        return len(self.confusion)


def tallies(said: Predictions) -> Tallies:
    """Sum predictions by group; rows of `log_probs` are normalised first (float16 rows sum to 1 only nearly)."""
    values = said.log_probs.astype(np.float64)
    values = values - logsumexp(values, axis=1, keepdims=True)
    classes = values.shape[1]
    names, group = np.unique(said.group, return_inverse=True)
    predicted, confidence = values.argmax(axis=1), np.exp(values.max(axis=1))
    right = predicted == said.label
    confusion = np.zeros((len(names), classes, classes))
    np.add.at(confusion, (group, said.label, predicted), 1)
    at = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    bins = np.zeros((len(names), BINS, 3))
    np.add.at(bins, (group, at), np.stack([np.ones(len(said)), confidence, right], axis=1))
    return Tallies(confusion, bins)


def figures(confusion: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """METRICS of summed tallies. confusion: (..., C, C); bins: (..., BINS, 3) -> (..., 4); NaN where not defined.

    A class without a patch counts in no mean, as in `stages.measures.quality`.
    """
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    of_label, of_predicted, n = confusion.sum(-1), confusion.sum(-2), confusion.sum((-2, -1))
    recall = _share(hit, of_label)
    f1 = _share(2 * hit, of_label + of_predicted)
    gap = np.abs(bins[..., 1] - bins[..., 2]).sum(-1)
    return np.stack([_share(hit.sum(-1), n), _mean(recall), _mean(f1), _share(gap, bins[..., 0].sum(-1))], axis=-1)


def point(groups: Tallies) -> np.ndarray:
    """METRICS of all groups together: (4,)."""
    return figures(groups.confusion.sum(0), groups.bins.sum(0))


def resampled(groups: Tallies, *keys: int | str, draws: int = DRAWS) -> np.ndarray:
    """METRICS of `draws` resamples of the groups with replacement: (draws, 4), a function of the keys."""
    count, classes = len(groups), groups.confusion.shape[1]
    rng = generator("bootstrap", *keys)
    flat = np.concatenate([groups.confusion.reshape(count, -1), groups.bins.reshape(count, -1)], axis=1)
    found: list[np.ndarray] = []
    step = max(1, _CHUNK // max(1, count))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        chosen = rng.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(chosen.ravel(), minlength=rows * count).reshape(rows, count)
        summed = times.astype(np.float64) @ flat
        cells = classes * classes
        found.append(
            figures(summed[:, :cells].reshape(rows, classes, classes), summed[:, cells:].reshape(rows, BINS, 3))
        )
    return np.concatenate(found)


def interval(drawn: np.ndarray) -> np.ndarray:
    """The middle 95 % of draws (B, 4): (2, 4), low and high; draws that are not defined count in none."""
    tail = (1 - LEVEL) / 2
    if not len(drawn) or np.isnan(drawn).all(axis=0).any():
        return np.full((2, drawn.shape[1]), np.nan)
    result: np.ndarray = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return result


def mean_over_seeds(drawn: Sequence[np.ndarray], *keys: int | str) -> np.ndarray:
    """Draws of the mean over S seeds, from (B, 4) draws of each: (B, 4).

    Two stages: S seeds are drawn with replacement, and of each one of its own resamples. So the interval holds both
    the chance in whose patients are judged and the chance in whose labels were given.
    """
    rng = generator("seeds", *keys)
    each = np.stack(drawn)
    if np.isnan(each).all(axis=(1, 2)).any():  # of one seed nothing is known: no more of their mean
        return np.full(each.shape[1:], np.nan)
    seeds, draws = each.shape[:2]
    seed = rng.integers(0, seeds, (draws, seeds))
    draw = rng.integers(0, draws, (draws, seeds))
    result: np.ndarray = np.nanmean(each[seed, draw], axis=1)
    return result


def told(values: np.ndarray) -> dict[str, float | None]:
    """METRICS by name, as JSON has them."""
    return {
        name: None if np.isnan(value) else round(float(value), 6) for name, value in zip(METRICS, values, strict=True)
    }


def judged(said: Predictions, column: str) -> tuple[dict[str, Any], Tallies]:
    """The figures of one model on one column, and the tallies from which `redrawn` draws their resamples again."""
    groups = tallies(said)
    low, high = interval(redrawn(groups, column))
    facts = {"n": len(said), "groups": len(groups), **told(point(groups))}
    return facts | {"low": told(low), "high": told(high)}, groups


def redrawn(groups: Tallies, column: str) -> np.ndarray:
    """(DRAWS, 4) resamples for a column: the same patches are resampled alike in every row, so rows can be compared.

    NaN of under five groups: as like each other as three patients happen to be, so narrow would the interval be.
    """
    if len(groups) < MIN_GROUPS:
        return np.full((DRAWS, len(METRICS)), np.nan)
    return resampled(groups, column, round(groups.bins[..., 0].sum()))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)
    return result


def _mean(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    return _share(np.where(known, values, 0).sum(-1), known.sum(-1))
