"""Two models on the same patches: how sure is it that one is better? A paired bootstrap over patients. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.keys import generator
from stages.quality import accuracy, balanced_accuracy, confusion, macro_f1

METRICS: dict[str, Callable[[np.ndarray], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}
DRAWS = 2000
# Below it a bootstrap over groups says more of which few groups there are than of their kind.
MIN_GROUPS = 5


@dataclass(frozen=True)
class Paired:
    """The second model's metric less the first's. low, high: 95 % interval; worse: share of draws below -tolerance.

    by: what was resampled, `group` or `patch`; n: patches, groups: how many groups they lie in.
    """

    difference: float
    low: float
    high: float
    worse: float
    by: str
    n: int
    groups: int


def compare(
    metric: str,
    label: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    group: np.ndarray,
    classes: int,
    tolerance: float,
    seed: int,
) -> Paired:
    """label, first, second: (V,) classes, V > 0; group: (V,) integers. Percentile bootstrap (Efron 1979), 2,000 draws.

    Whole groups are drawn with replacement, both models on the same ones; patches where there are under five groups.
    A draw exactly at -tolerance counts half. The same arguments give the same numbers, in any order of the rows.
    """
    measure, n = METRICS[metric], len(label)
    codes = np.unique(group, return_inverse=True)[1]
    found = int(codes.max()) + 1
    by = "group" if found >= MIN_GROUPS else "patch"
    # what a draw depends on is how often each outcome (label, first, second) lies in each unit: like units are one
    # kind, so resampling a million patches costs as much as resampling their outcomes
    outcome = (label.astype(np.int64) * classes + first) * classes + second
    if by == "patch":
        kinds, times = np.unique(outcome, return_counts=True)
        contents = np.eye(len(kinds), dtype=np.int64)
    else:
        kinds, place = np.unique(outcome, return_inverse=True)
        per_group = np.zeros((found, len(kinds)), np.int64)
        np.add.at(per_group, (codes, place), 1)
        contents, times = np.unique(per_group, axis=0, return_counts=True)

    draws = generator(seed, "paired").multinomial(times.sum(), times / times.sum(), size=DRAWS)

    def measured(said: np.ndarray) -> list[float]:
        """The metric of each draw. said: (K,) what a model says in each kind."""
        cells, place = np.unique(kinds // classes**2 * classes + said, return_inverse=True)
        # floats: products of such matrices are exact, and fast
        in_cells = draws @ (contents.astype(np.float64) @ np.eye(len(cells))[place])
        found = []
        for counts in np.rint(in_cells).astype(np.int64):
            table = np.zeros(classes**2, np.int64)
            table[cells] = counts
            found.append(measure(table.reshape(classes, classes)))
        return found

    differences = np.sort(np.subtract(measured(kinds % classes), measured((kinds // classes) % classes)))
    low, high = np.quantile(differences, (0.025, 0.975))
    below = (differences < -tolerance - 1e-12).mean()
    at = (np.abs(differences + tolerance) <= 1e-12).mean()
    point = measure(confusion(label, second, classes)) - measure(confusion(label, first, classes))
    return Paired(point, float(low), float(high), float(below + at / 2), by, n, found)
