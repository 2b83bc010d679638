"""Labels and pseudo-labels as what a stream draws from."""

import numpy as np

from data.patches.labels import GivenLabels
from stages.select.negatives import Negatives
from stages.select.selection import Selection
from stages.train.batches import Examples


def given_examples(given: GivenLabels, classes: int, smoothing: float) -> Examples:
    """Given labels as target distributions; smoothing belongs to them alone, never to soft pseudo-labels."""
    target = np.full((len(given), classes), smoothing / classes, np.float32)
    target[np.arange(len(given)), given.label] += 1 - smoothing
    return Examples(given.ids, target, np.ones(len(given), np.float32))


def pseudo_examples(
    kept: Selection,
    classes: int,
    pool_ids: np.ndarray,
    soft: np.ndarray | None,
    negatives: Negatives | None = None,
) -> Examples:
    """Kept patches as target distributions, each as often as its copies; once each, those that only have negatives.

    soft: (P, C) believed probabilities in the order of pool_ids (P,), or None for hard labels.
    Joined by patch id, never by position.
    """
    rows = np.repeat(np.arange(len(kept.ids)), kept.copies)
    if soft is None:
        target = np.zeros((len(rows), classes), np.float32)
        target[np.arange(len(rows)), kept.label[rows]] = 1
    else:
        at = np.searchsorted(pool_ids, kept.ids[rows])
        assert np.array_equal(pool_ids[at], kept.ids[rows]), "a kept patch is not in the pool"
        target = soft[at].astype(np.float32)
    ids, weight = kept.ids[rows], kept.weight[rows].astype(np.float32)
    if negatives is None or not len(negatives):
        return Examples(ids, target, weight, given=False)
    only = np.setdiff1d(negatives.ids, ids)
    ids = np.concatenate([ids, only])
    target = np.concatenate([target, np.zeros((len(only), classes), np.float32)])
    known, of = np.unique(negatives.ids, return_inverse=True)
    told = np.zeros((len(known) + 1, classes), bool)  # the spare row is of patches without any
    told[of, negatives.label] = True
    at = np.searchsorted(known, ids)
    at[known[np.minimum(at, len(known) - 1)] != ids] = len(known)
    return Examples(ids, target, np.concatenate([weight, np.ones(len(only), np.float32)]), told[at], given=False)
