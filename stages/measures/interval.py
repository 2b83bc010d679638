"""How well a figure of one model is known: a bootstrap over patients. Pure."""

import numpy as np

from data.keys import generator
from stages.measures.judged import Judged
from stages.measures.paired import METRICS, MIN_GROUPS, tails, units_of

DRAWS = 1000


def interval(metric: str, judged: Judged, *keys: int | str) -> tuple[float, float]:
    """95 % interval of a metric over whole groups (patches where there are under five groups), by `paired.tails`."""
    classes = judged.log_probs.shape[1]
    found, group = np.unique(judged.group, return_inverse=True)
    by_patch = len(found) < MIN_GROUPS or len(found) == len(judged)
    # a unit enters only through its confusion matrix
    cell = judged.label.astype(np.int64) * classes + judged.predicted
    kinds, contents, times = units_of(cell, None if by_patch else group)
    tables = np.zeros((DRAWS, classes * classes), np.int64)
    tables[:, kinds] = generator(*keys).multinomial(times.sum(), times / times.sum(), size=DRAWS) @ contents
    values = [METRICS[metric](counts.reshape(classes, classes)) for counts in tables]
    low, high = np.nanquantile(values, tails(int(times.sum())))
    return float(low), float(high)
