"""Given labels told by each other: what a graph makes of those that are left out in turn."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from data.patches.labels import GivenLabels
from stages.measures.paired import MIN_GROUPS
from stages.measures.quality import confusion
from stages.select.propagate import Likeness
from stages.select.seen import Names

FOLDS = 5
MOST = 0.5  # share of the pool


class LeftOut:
    """Labels in folds, each told by the others while its patch stays in the graph like any of the pool.

    Folds divide patients or slides for the share of the pool that lies in such as have labels, and leave them whole
    for the rest. A class with labels of one alone is never left out: it counts as told right as often as the others.
    All that is returned are (C, C) counts of labels by class (row) and by what they are told to be (column), means over
    several ways and so not whole.
    """

    def __init__(
        self,
        given: GivenLabels,
        rows: np.ndarray,
        groups: np.ndarray,
        near: float,
        classes: int,
        seed: int,
        along: Callable[[Names], Likeness],
    ) -> None:
        """rows: of the labels in every graph, (L,); groups: their patients or slides, (L,); along: the graph by what
        networks see that are named; near: share of the pool in groups that have labels.
        """
        self._label, self._rows, self._groups, self._along = given.label.astype(np.int64), rows, groups, along
        self.near, self._classes, self._seed = near, classes, seed
        self._told: dict[tuple[Names, bool], np.ndarray | None] = {}

    @property
    def among(self) -> np.ndarray:
        """How common each class is among the labels: (C,), sums to 1."""
        found: np.ndarray = np.bincount(self._label, minlength=self._classes) / len(self._label)
        return found

    @property
    def few(self) -> tuple[int, float] | None:
        """Patients or slides with labels, and the share of the pool in others; None: labels speak for these too."""
        groups, elsewhere = len(np.unique(self._groups)), 1 - self.near
        return (groups, elsewhere) if groups < MIN_GROUPS and elsewhere >= MOST else None

    def of_pool(self, ways: Sequence[Names], weights: np.ndarray | None = None) -> np.ndarray | None:
        """As the pool is told: of folds of either kind as much as it asks for; None: labels are too few to say.

        ways: what is named for graphs, whose mean is taken; weights: see `told`.
        """
        found = [
            (share, self.told(ways, whole, weights)) for share, whole in ((self.near, False), (1 - self.near, True))
        ]
        known = [(share, told) for share, told in found if told is not None]
        if not known:
            return None
        mean: np.ndarray = np.average([told for _, told in known], axis=0, weights=[share for share, _ in known])
        return mean

    def told(self, ways: Sequence[Names], whole: bool, weights: np.ndarray | None = None) -> np.ndarray | None:
        """By folds of one kind, groups whole or divided; None: the pool asks for none, or there are no such folds.

        weights: of the labels of each class, (C,), in all still as many as there are; None: all count alike.
        """
        if not (1 - self.near if whole else self.near):
            return None
        found = [told for names in ways if (told := self._by_folds(names, whole)) is not None]
        if len(found) < len(ways):
            return None
        mean = np.mean(found, axis=0)
        if weights is not None:
            mean = mean * weights[:, None]
            mean /= mean.sum()
        counts: np.ndarray = mean * len(self._label)
        return counts

    def _by_folds(self, names: Names, whole: bool) -> np.ndarray | None:
        """Once each; sums to 1."""
        if (names, whole) not in self._told:
            self._told[names, whole] = self._in_folds(names, self._groups if whole else np.arange(len(self._groups)))
        return self._told[names, whole]

    def _in_folds(self, names: Names, group: np.ndarray) -> np.ndarray | None:
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        rows, label = self._rows, self._label
        spread = {k: len(np.unique(group[label == k])) for k in np.unique(label)}
        # of a class with labels of one alone none would be left: those stay
        able = np.flatnonzero(np.isin(label, [k for k, count in spread.items() if count > 1]))
        if not len(able):
            return None
        graph = self._along(names)
        single = len(np.unique(group)) == len(group)  # the general way would take minutes over many labels
        kind = StratifiedKFold if single else StratifiedGroupKFold
        count = min(FOLDS, *(found for found in spread.values() if found > 1))
        folds = kind(count, shuffle=True, random_state=self._seed % 2**32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # classes are uneven over the groups: such folds are passed over below
            drawn = list(folds.split(rows[able], label[able], group[able]))
        told = np.zeros((self._classes, self._classes))
        for _, fold in drawn:
            own = able[fold]
            others = np.setdiff1d(np.arange(len(rows)), own)
            if len(np.unique(label[others])) == len(spread):
                said = graph.propagated(rows[others], label[others], self._classes)[rows[own]].argmax(axis=1)
                told += confusion(label[own], said, self._classes)
        if not told.any():
            return None
        kept = np.bincount(np.delete(label, able), minlength=self._classes) * told.sum() / len(able)
        return _with_kept(told, kept)


def _with_kept(told: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """With labels that were never left out counted as others are, right and wrong as often as these; sums to 1.

    told: (C, C) counts of the others; kept: (C,) labels of a class, as many as would have been left out beside these.
    """
    right = told.trace() / told.sum()
    named = (told.sum(axis=1) + kept) > 0
    as_others = np.where(named, (1 - right) / max(named.sum() - 1, 1), 0) * np.ones_like(told)
    np.fill_diagonal(as_others, right)
    whole = told + kept[:, None] * as_others
    shares: np.ndarray = whole / whole.sum()
    return shares
