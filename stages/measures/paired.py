"""Two models on the same patches: how sure is it that one is better? A paired bootstrap over patients. Pure.

A bootstrap of few patches, or of few patients, is too sure of itself: of 14 patches of which the second model loses
two and gains none, it finds a loss in 94 of 100 draws, though by chance alone one in four such pairs would be lost
together. So where the middle 95 % of the draws reach zero, a loss is believed no more than a permutation test allows,
in which the two models change places in each patient, or do not. And the interval that is told ends further out than
that middle, which of few patients holds the truth too seldom (`tails`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.keys import generator
from stages.measures.quality import accuracy, balanced_accuracy, confusion, macro_f1

METRICS: dict[str, Callable[[np.ndarray], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
}
DRAWS = 2000
# Below it a bootstrap over groups says more of which few groups there are than of their kind.
MIN_GROUPS = 5
SAME = 1e-12


def tails(units: int) -> tuple[float, float]:
    """Between which quantiles of the draws a 95 % interval lies, where so many units are resampled.

    The expanded percentile interval (Hesterberg, The American Statistician 2015): a bootstrap of n units is too narrow
    by the factor that the n - 1 of a variance corrects, and by what Student's t has over the normal distribution. Of
    many units these are 2.5 and 97.5 %.
    """
    from scipy.special import ndtr, stdtrit

    if units < 2:
        return 0.0, 1.0
    least = float(ndtr(-math.sqrt(units / (units - 1)) * stdtrit(units - 1, 0.975)))
    return least, 1 - least


@dataclass(frozen=True)
class Paired:
    """The second model's metric less the first's. low, high: 95 % interval; worse: how sure a loss is, see `compare`.

    by: what was resampled, `group` or `patch`; n: patches, groups: how many groups they lie in.
    """

    difference: float
    low: float
    high: float
    worse: float
    by: str
    n: int
    groups: int

    @property
    def wanted(self) -> str:
        """What would tell more, in words: of patients who are known further labels tell little."""
        known = self.groups < self.n
        return "validation labels of more patients or slides" if known else "more validation labels"


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
    """label, first, second: (V,) classes, V > 0; group: (V,) integers. Bootstrap of 2,000 draws, see `tails`.

    Whole groups are drawn with replacement, both models on the same ones; patches where there are under five groups.
    How sure a loss is: the share of draws below -tolerance; where their middle 95 % reach zero, at most 1 - p of the
    permutation test (Pitman 1937), whose hypothesis is that the models do not differ. A draw exactly at -tolerance
    counts half, and so does a permutation that gives what was seen. The same arguments give the same numbers, in any
    order of the rows.
    """
    measure, n = METRICS[metric], len(label)
    codes = np.unique(group, return_inverse=True)[1]
    found = int(codes.max()) + 1
    by = "group" if found >= MIN_GROUPS else "patch"
    # what a draw depends on is how often each outcome (label, first, second) lies in each unit: like units are one
    # kind, so resampling a million patches costs as much as resampling their outcomes
    outcome = (label.astype(np.int64) * classes + first) * classes + second
    kinds, contents, times = units_of(outcome, codes if by == "group" else None)
    if by == "group":
        contents, times = np.unique(contents, axis=0, return_counts=True)

    random = generator(seed, "paired")
    label_of, first_of, second_of = kinds // classes**2, kinds // classes % classes, kinds % classes

    def measured(*said: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The metric of each draw, (D,). said: how often each unit is in it, (D, U), and is said to be what, (K,)."""
        tables = np.zeros((DRAWS, classes**2), np.int64)
        for units, what in said:
            cells, place = np.unique(label_of * classes + what, return_inverse=True)
            # floats: products of such matrices are exact, and fast
            in_cells = units @ (contents.astype(np.float64) @ np.eye(len(cells))[place])
            tables[:, cells] += np.rint(in_cells).astype(np.int64)
        return np.array([measure(table.reshape(classes, classes)) for table in tables])

    draws = random.multinomial(times.sum(), times / times.sum(), size=DRAWS)
    differences = measured((draws, second_of)) - measured((draws, first_of))
    low, high = np.quantile(differences, tails(found if by == "group" else n))
    point = measure(confusion(label, second, classes)) - measure(confusion(label, first, classes))

    worse = _below(differences, -tolerance)
    # by the draws alone, not by the wider interval that is told: in doubt that would let more losses pass
    if np.quantile(differences, 0.975) >= -SAME:
        swapped = random.binomial(times, 0.5, size=(DRAWS, len(times)))
        stay = times - swapped
        by_chance = measured((stay, second_of), (swapped, first_of)) - measured((stay, first_of), (swapped, second_of))
        worse = min(worse, 1 - _below(by_chance, point))
    return Paired(point, float(low), float(high), worse, by, n, found)


def units_of(outcome: np.ndarray, group: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a bootstrap draws, by what it holds: of patches those with one outcome are one unit, drawn several times.

    outcome: (V,) integers; group: (V,) codes without gaps, None: each patch by itself. Returns the outcomes that occur
    (K,), how often each is in a unit (U, K), and how many such units there are (U,).
    """
    kinds, place, counts = np.unique(outcome, return_inverse=True, return_counts=True)
    if group is None:
        return kinds, np.eye(len(kinds), dtype=np.int64), counts
    contents = np.zeros((int(group.max()) + 1, len(kinds)), np.int64)
    np.add.at(contents, (group, place), 1)
    return kinds, contents, np.ones(len(contents), np.int64)


def _below(values: np.ndarray, limit: float) -> float:
    """The share below; what is at it counts half."""
    at = np.abs(values - limit) <= SAME
    return float((values < limit - SAME).mean() + at.mean() / 2)
