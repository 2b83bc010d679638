"""How sure a share of right predictions is, from few and possibly clustered labels. Pure."""

import numpy as np

ENOUGH = 10_000_000  # labels: beyond it nobody is told a number


def lower_bound(right: np.ndarray, n: np.ndarray, alpha: float) -> np.ndarray:
    """One-sided lower Clopper-Pearson bound of a share, wrong with probability at most `alpha`. All (M,) float64.

    right of n draws were right; both need not be whole numbers (effective sizes, Korn and Graubard 1998).
    """
    from scipy.special import betaincinv

    some = right > 0
    bound = np.zeros(np.shape(right))
    bound[some] = betaincinv(right[some], n[some] - right[some] + 1, alpha)
    return bound


def upper_bound(right: float, n: float, alpha: float) -> float:
    """One-sided upper Clopper-Pearson bound of a share, wrong with probability at most `alpha`; 1 if all are right."""
    from scipy.special import betaincinv

    return 1.0 if right >= n else float(betaincinv(right + 1, n - right, 1 - alpha))


def fewest(errors: int, alpha: float, target: float) -> int:
    """The fewest draws of which `errors` may be wrong for the lower bound to reach `target` in (0, 1)."""
    low, high = errors, errors + 1
    while _bound(errors, high, alpha) < target and high < ENOUGH:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _bound(errors, middle, alpha) >= target else (middle, high)
    return high


def fewest_at(share: float, alpha: float, target: float) -> int | None:
    """The fewest draws for the bound to reach `target` if this share of them is right; None: no number of them."""
    if share <= target:
        return None
    low, high = 0, 1
    while _bound(round(high * (1 - share)), high, alpha) < target:
        low, high = high, 2 * high
        if high > ENOUGH:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        passes = _bound(round(middle * (1 - share)), middle, alpha) >= target
        low, high = (low, middle) if passes else (middle, high)
    return high


def intraclass_correlation(right: np.ndarray, group: np.ndarray, stratum: np.ndarray) -> float:
    """How alike patches of one group are in being right or wrong, beyond their stratum: in [0, 1].

    right: (N,) bool; group, stratum: (N,) integers. The one-way analysis-of-variance estimate of what is left after
    the mean of each stratum (the predicted class) is taken off. 0 where each patch is its own group; 1 where there
    is one group alone, which cannot be told from its patches.
    """
    n = len(right)
    groups, code, size = np.unique(group, return_inverse=True, return_counts=True)
    if len(groups) == n:
        return 0.0
    if len(groups) == 1:
        return 1.0
    strata = np.unique(stratum, return_inverse=True)[1]
    rest = right - (np.bincount(strata, weights=right) / np.bincount(strata))[strata]
    mean = np.bincount(code, weights=rest) / size
    between = float((size * (mean - rest.mean()) ** 2).sum()) / (len(groups) - 1)
    within = float(((rest - mean[code]) ** 2).sum()) / (n - len(groups))
    typical = (n - float((size.astype(np.float64) ** 2).sum()) / n) / (len(groups) - 1)
    total = between + (typical - 1) * within
    return float(np.clip((between - within) / total, 0, 1)) if total > 0 else 0.0


def design_effects(group: np.ndarray, correlation: float) -> np.ndarray:
    """By how much the first m of a list of patches are worth less than m independent ones, for every m: (N,) >= 1.

    Kish: 1 + correlation * (sum of squared group sizes / m - 1). group: (N,) integers, in the order of the list.
    """
    n = len(group)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=group[order[:1]] - 1)) if n else np.zeros(0, np.int64)
    place = np.empty(n, np.int64)  # which one of its group a patch is, from 0
    place[order] = np.arange(n) - np.repeat(starts, np.diff(starts, append=n))
    squares = np.cumsum(2.0 * place + 1)  # (k + 1)^2 - k^2
    result: np.ndarray = 1 + correlation * (squares / np.arange(1, n + 1) - 1)
    return result


def _bound(errors: int, n: int, alpha: float) -> float:
    return float(lower_bound(np.array([float(n - errors)]), np.array([float(n)]), alpha)[0])
