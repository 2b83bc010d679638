"""Distribution alignment: hold what is believed of the whole pool against how common the classes should be. Pure.

Berthelot et al. 2020 (ReMixMatch, arXiv 1911.09785): q ~ p * target / mean(p), renormalised, their running mean
being the mean over the whole pool here. CReST (Wei et al. 2021, arXiv 2102.09559) raises the target to an exponent
below 1, which draws it towards the uniform one.
"""

import numpy as np

from stages.blocks import blocks
from stages.select.evidence import Probs

CLOSE = 1e-7  # of a class's share; far below what a pool can show
DIGITS = 9  # kept of a weight: below that, the order in which a pool is summed would show


def aligned(probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """probs * weights, rows renormalised: (N, C) float32. weights: (C,) >= 0, not all 0.

    A row that believes in nothing but classes of weight 0 is left as it is.
    """
    weighted = probs * weights.astype(np.float32)
    total = weighted.sum(axis=1, keepdims=True)
    result: np.ndarray = np.divide(weighted, total, out=probs.astype(np.float32), where=total > 0)
    return result


def class_weights(probs: Probs, target: np.ndarray, steps: int = 1) -> np.ndarray:
    """What `aligned` takes to bring the mean of `probs` towards `target`: (C,) float64, the largest 1.

    probs: (N, C); target: (C,), sums to 1. One step is ReMixMatch's formula: it goes most of the way. More steps
    repeat it on its own result (Sinkhorn's iteration) until the mean is the target.
    """
    count, classes = probs.shape
    weights = np.ones(classes)
    if not count:
        return weights
    for _ in range(steps):
        mean = _summed(probs, weights) / count
        if np.abs(mean - target).max() < CLOSE:
            break
        # a class that nobody believes in cannot be believed in more: its weight stays
        weights *= np.divide(target, mean, out=np.ones_like(mean), where=mean > 0)
        weights /= weights.max()
    return np.array([float(f"{weight:.{DIGITS}g}") for weight in weights])


def _summed(probs: Probs, weights: np.ndarray) -> np.ndarray:
    # row after row, in the order of the whole array: the same sum whatever the blocks
    total = np.zeros((1, len(weights)))
    for rows in blocks(probs.shape[0]):
        own = aligned(np.ascontiguousarray(probs[rows]), weights)
        total = np.concatenate([total, own]).sum(axis=0, keepdims=True)
    result: np.ndarray = total[0]
    return result


def tempered(share: np.ndarray, exponent: float) -> np.ndarray:
    """share ** exponent, summing to 1; exponent 1: as it is, 0: uniform over the classes that have a share."""
    raised = np.where(share > 0, share, 0.0) ** exponent if exponent else (share > 0).astype(np.float64)
    result: np.ndarray = raised / raised.sum()
    return result
