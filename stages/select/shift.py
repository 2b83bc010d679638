"""Whether the classes are as common in the pool as among the given labels, and if not, how common they are. Pure.

Who labels ten patches of every class does so whatever the pool holds. What others then tell of left-out labels says how
often each class is taken for which; told of the pool, the same classifier counts classes that are common there more
often. From both, how common they are: Saerens, Latinne and Decaestecker, Neural Computation 2002, by a confusion matrix
as in Lipton, Wang and Smola, ICML 2018. A few steps of the iteration alone: of few labels a rate of one in fifty is not
known, and further steps follow the noise until rare classes are gone.
"""

import numpy as np

UNLIKE = 0.01  # chance of labels that are drawn from the pool to be told as these are, below which they were not
STEPS = 3
HALF = 0.5  # a label more a class and a matrix: of what was never seen nobody knows that it never is


def shares_in_pool(confusion: np.ndarray, told: np.ndarray) -> np.ndarray | None:
    """How common each class is in the pool: (C,), sums to 1; None: labels are told as the pool is, so as among them.

    confusion: (C, C) left-out labels of a class (row) that others told to be a class (column); told: (C,) how often the
    pool is told to be each class, sums to 1. A class without labels stays without a share.
    """
    labels, classes = confusion.sum(), len(told)
    seen, expected = (_smoothed(one * labels, HALF) for one in (confusion.sum(axis=0) / labels, told))
    if not _unlike(seen, expected, labels):
        return None
    rates = confusion + HALF / classes
    rates /= rates.sum(axis=1, keepdims=True)
    shares: np.ndarray = confusion.sum(axis=1) / labels
    for _ in range(STEPS):
        shares = shares * (rates @ (told / (shares @ rates)))
    shares /= shares.sum()
    return shares


def _smoothed(counts: np.ndarray, more: float) -> np.ndarray:
    found: np.ndarray = counts + more
    found /= found.sum()
    return found


def _unlike(seen: np.ndarray, expected: np.ndarray, labels: float) -> bool:
    from scipy.stats import chi2

    # Pearson's test of a sample of so many labels; what the pool is told counts as exact
    far = labels * float((np.square(seen - expected) / expected).sum())
    return bool(chi2.sf(far, len(seen) - 1) < UNLIKE)
