"""How well a figure of one model is known: a bootstrap over patients. Pure."""

import numpy as np

from data.keys import generator
from stages.measures.judged import Judged
from stages.measures.paired import METRICS, MIN_GROUPS, tails

DRAWS = 1000


def interval(metric: str, judged: Judged, *keys: int | str) -> tuple[float, float]:
    """95 % interval of a metric over whole groups (patches where there are under five groups), by `paired.tails`."""
    classes = judged.log_probs.shape[1]
    group = np.unique(judged.group, return_inverse=True)[1]
    if group.max(initial=0) + 1 < MIN_GROUPS:
        group = np.arange(len(judged))
    # a group enters only through its confusion matrix, and equal ones are one kind drawn several times
    cell = judged.label.astype(np.int64) * classes + judged.predicted
    if len(np.unique(group)) == len(judged):
        contents, times = np.unique(cell, return_counts=True)
        tables = np.eye(classes * classes, dtype=np.int64)[contents]
    else:
        tables = np.zeros((int(group.max()) + 1, classes * classes), np.int64)
        np.add.at(tables, (group, cell), 1)
        times = np.ones(len(tables), np.int64)
    drawn = generator(*keys).multinomial(times.sum(), times / times.sum(), size=DRAWS) @ tables
    values = [METRICS[metric](counts.reshape(classes, classes)) for counts in drawn]
    low, high = np.nanquantile(values, tails(int(times.sum())))
    return float(low), float(high)
