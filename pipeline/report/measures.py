"""What is drawn of a round, in numbers: pure functions of arrays. P pool patches, V judged patches, C classes."""

from dataclasses import dataclass

import numpy as np

from stages.measures.quality import BINS, calibration_bin, confusion

COLUMNS = 20  # of the histograms of confidence
# an outlier: its share of what is kept is this many times its share of the pool, or this part of it, ...
OUTLIER_RATIO = 2.0
# ... and that is more than chance: so many standard deviations of a binomial with the pool's share
OUTLIER_DEVIATIONS = 4.0


def histograms(confidence: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of kept and of rejected patches over COLUMNS equal bins of [0, 1], both (COLUMNS,). kept: (P,) bool."""
    at = np.clip((confidence * COLUMNS).astype(np.int64), 0, COLUMNS - 1)
    inside = np.bincount(at[kept], minlength=COLUMNS)
    return inside, np.bincount(at, minlength=COLUMNS) - inside


@dataclass(frozen=True)
class Reliability:
    """confidence, accuracy: (B,) means of each bin, NaN where it is empty; count: (B,) patches."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def reliability(confidence: np.ndarray, right: np.ndarray) -> Reliability:
    """Confidence against accuracy (DeGroot & Fienberg 1983) in the bins of its error. confidence, right: (V,)."""
    at = calibration_bin(confidence)
    count = np.bincount(at, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean, share = (
            np.bincount(at, weights=values.astype(np.float64), minlength=BINS) / count for values in (confidence, right)
        )
    return Reliability(mean, share, count)


def flips(before: np.ndarray, after: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) counts: rows the class of the round before, columns the class now. before, after: (P,)."""
    return confusion(before, after, classes)


@dataclass(frozen=True)
class Shares:
    """Of the places (slides, patients, sites) of a pool. code: (K,); pool, kept: (K,) patches; outlier: (K,) bool."""

    code: np.ndarray
    pool: np.ndarray
    kept: np.ndarray
    outlier: np.ndarray

    @property
    def excess(self) -> np.ndarray:
        """(K,) kept patches beyond the place's share of the pool."""
        total = max(int(self.pool.sum()), 1)
        found: np.ndarray = self.kept - self.kept.sum() * self.pool / total
        return found


def shares(codes: np.ndarray, kept: np.ndarray) -> Shares:
    """What each place gives to what is kept. codes: (P,) -1 unknown, which counts in no place; kept: (P,) bool."""
    known = codes >= 0
    code, at = np.unique(codes[known], return_inverse=True)
    pool = np.bincount(at, minlength=len(code))
    inside = np.bincount(at[kept[known]], minlength=len(code))
    share, n = pool / max(pool.sum(), 1), int(inside.sum())
    expected = share * n
    far = np.abs(inside - expected) > OUTLIER_DEVIATIONS * np.sqrt(expected * (1 - share))
    much = (inside > OUTLIER_RATIO * expected) | (inside * OUTLIER_RATIO < expected)
    return Shares(code, pool, inside, far & much & (len(code) > 1))
