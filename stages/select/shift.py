"""Whether the classes are as common in the pool as among the given labels, and how common they are. Pure.

Who labels ten patches of every class does so whatever the pool holds. What others then tell of left-out labels says how
often each class is taken for which; told of the pool, the same classifier counts classes that are common there more
often. From both, how common they are: Saerens, Latinne and Decaestecker, Neural Computation 2002, by a confusion matrix
as in Lipton, Wang and Smola, ICML 2018. A few steps of the iteration alone: of few labels a rate of one in fifty is not
known, and further steps follow the noise until rare classes are gone.
"""

import numpy as np

UNLIKE = 0.005  # chance of labels that are drawn from the pool to be told as these are, below which they were not
STEPS = 3
HALF = 0.5  # a label more in each class: of what was never seen nobody knows that it never is


def unlike(confusion: np.ndarray, told: np.ndarray) -> bool:
    """Whether labels are told as labels drawn from the pool would hardly ever be: Pearson's test.

    confusion: (C, C) left-out labels of a class (row) that others told to be a class (column); told: (C,) patches of
    the pool that the same graph tells to be each class.
    """
    from scipy.stats import chi2

    labels = confusion.sum()
    seen, expected = (one + HALF for one in (confusion.sum(axis=0), told * labels / told.sum()))
    # what the pool is told counts as exact: its patches are many more
    far = float((np.square(seen - expected) / expected).sum())
    return bool(chi2.sf(far, len(told) - 1) < UNLIKE)


def shares_in_pool(confusion: np.ndarray, told: np.ndarray) -> np.ndarray:
    """How common each class is in the pool: (C,), sums to 1. A class without labels stays without a share.

    Both arguments as of `unlike`.
    """
    rates = confusion + HALF / len(told)
    rates /= rates.sum(axis=1, keepdims=True)
    shares: np.ndarray = confusion.sum(axis=1) / confusion.sum()
    for _ in range(STEPS):
        shares = shares * (rates @ (told / told.sum() / (shares @ rates)))
    shares /= shares.sum()
    return shares
