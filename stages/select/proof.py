"""From held-out labels of one class to the lowest threshold they prove, and to how many more it would take. Pure.

See `rules/risk.py` for what is promised and why the tests run as they do.
"""

import math
from dataclasses import dataclass

import numpy as np

from stages.select.bounds import design_effects, fewest, fewest_at, lower_bound, upper_bound

# errors allowed where a sequence of tests starts -> its share of the allowed risk; the shares sum to 1
STARTS = {0: 1 / 2, 1: 1 / 4, 3: 1 / 8, 7: 1 / 8}
DEPTHS = 32  # of the pool at which the labels needed are estimated

WORTHWHILE = 0.01  # share of a class below which nobody labels for it


@dataclass(frozen=True)
class Listed:
    """Held-out patches predicted as one class, surest first, seen at the ends of ties.

    confidence: (E,) of the last patch of a prefix; right, size: (E,) right ones and all of that prefix, in
    independent patches' worth; effect: (E,) patches that are worth one; seen: how many there are.
    """

    confidence: np.ndarray
    right: np.ndarray
    size: np.ndarray
    effect: np.ndarray
    seen: int


def listed(confidence: np.ndarray, right: np.ndarray, group: np.ndarray, alike: float) -> Listed:
    """All (n,), in any order; alike: correlation of right and wrong within a group."""
    order = np.lexsort((group, -confidence))  # the order within ties is of no account: only their ends are tested
    sure = confidence[order]
    effect = design_effects(group[order], alike)
    ends = np.flatnonzero(np.append(sure[1:] != sure[:-1], True)) if len(sure) else np.empty(0, np.int64)
    effect = effect[ends]
    return Listed(sure[ends], np.cumsum(right[order])[ends] / effect, (ends + 1) / effect, effect, len(sure))


def lowest_proven(one: Listed, precision: float, risk: float) -> float:
    """The lowest threshold above which `precision` is proven, wrongly with probability at most `risk`; NaN: none."""
    last = -1
    for errors, share in STARTS.items():
        testable = one.size >= fewest(errors, risk * share, precision)
        if not testable.any():
            continue
        start = int(testable.argmax())
        passes = lower_bound(one.right[start:], one.size[start:], risk * share) >= precision
        passed = len(passes) if passes.all() else int(passes.argmin())
        if passed:
            last = max(last, start + passed - 1)
    return float(one.confidence[last]) if last >= 0 else math.nan


def best_bound(one: Listed, risk: float) -> float:
    """The highest lower bound of any prefix, in [0, 1]: how near it came."""
    return float(lower_bound(one.right, one.size, risk * STARTS[0]).max(initial=0.0))


def least_labels(precision: float, risk: float) -> int:
    """Independent labels, all right, without which nothing can be proven."""
    return fewest(0, risk * STARTS[0], precision)


def labels_needed(one: Listed, pool_confidence: np.ndarray, pool: int, precision: float, risk: float) -> int | None:
    """About how many labelled validation patches in all would prove `precision` of this class; None: no number.

    pool_confidence: (M,) of the pool patches predicted as it, of `pool` in all. At each depth of the pool, precision
    is taken to be the mean confidence there, but no more than the labels seen so far allow (95 % upper bound).
    """
    sure = np.sort(pool_confidence.astype(np.float64))[::-1]
    if not len(sure):
        return None
    mean = np.cumsum(sure) / np.arange(1, len(sure) + 1)
    found = []
    for depth in np.unique(np.geomspace(max(1, len(sure) * WORTHWHILE), len(sure), DEPTHS).astype(int)):
        at = int(np.searchsorted(-one.confidence, -sure[depth - 1], side="right")) - 1
        share = float(mean[depth - 1])
        if at >= 0:
            share = min(share, upper_bound(float(one.right[at]), float(one.size[at]), 0.05))
        if (n := fewest_at(share, risk * min(STARTS.values()), precision)) is not None:
            # so many independent patches, each worth `effect` of those, which are this share of a labelled set
            found.append(math.ceil(n * float(one.effect[max(at, 0)] if one.seen else 1.0) * pool / depth))
    return min(found) if found else None
