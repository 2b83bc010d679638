"""Choose whole units for validation and test, as near to the wanted numbers a class as whole units allow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.errors import ChainError, ExitCode
from data.keys import uniform
from data.patches.given import GIVEN_POOL, NOTHING
from data.patches.table import PatchTable
from data.printable import shortened
from data.splits.config import Share, SplitsConfig
from data.splits.units import PATCH, SLIDE
from data.splits.written import LABELLED, POOL, SPLITS, TEST, UNUSED, VALIDATION

DEFAULT_SHARE = 0.2
_HELD_OUT = (VALIDATION, TEST)
NAMES = ("validation", "test")


def draw_held_out(
    codes: np.ndarray,
    given: np.ndarray,
    truth: np.ndarray,
    whole: np.ndarray,
    kind: np.ndarray,
    table: PatchTable,
    classes: Sequence[str],
    config: SplitsConfig,
    warnings: list[str],
) -> frozenset[int]:
    """Mark drawn rows of `codes` (N,) VALIDATION or TEST, and pool rows of drawn units UNUSED; add to `warnings`.

    Returns of which kinds of unit it has warned.

    given: (N,) what the sources say; truth: (N,) class or -1; whole: (N,) unit that is never divided; kind: (N,)
    what the unit is (`units.KINDS`). Raises ChainError (65) when a wanted split gets nothing.
    """
    drawable = drawable_rows(codes, given, truth)
    shares = wanted_shares(codes, drawable, config)
    if not any(shares):
        return frozenset()
    tied = tied_to_given(given, whole)
    rows = np.flatnonzero(drawable & ~tied)
    _warn_of_units(table, kind[rows], whole, config, warnings)
    names, first, unit = np.unique(whole[rows], return_index=True, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(counts, (unit, truth[rows]), 1)
    total = np.bincount(truth[drawable], minlength=len(classes))
    target = np.array([[_wanted(share, int(n)) for n in total] for share in shares])
    trains = (truth >= 0) & np.isin(codes, (LABELLED, POOL)) & (given != GIVEN_POOL)
    chosen = _Units(
        counts,
        # the table is sorted by id: the first row of a unit is its lowest id
        uniform(table.ids[rows[first]], "held out", config.seed),
        np.full(len(names), -1, np.int8),
        target,
        target.copy(),
        np.bincount(truth[trains], minlength=len(classes)),
    )
    _fill(chosen)
    for which, name in enumerate(NAMES):
        if not shares[which]:
            continue
        got = counts[chosen.side == _HELD_OUT[which]].sum(axis=0)
        if not got.any():
            # a unit of several patients, or of several patches of nobody, is one for the pixels they share
            several = np.where(kind[rows] == PATCH, rows, table.patient.codes[rows])
            by_pixels = len(np.unique(np.stack([unit, several]), axis=1).T) > len(names)
            droppable = by_pixels and config.duplicates != "drop"
            raise _nothing_drawn(name, len(names), int((drawable & tied).sum()), droppable)
        _warn_of_too_few(name, got, target[which], warnings)
    side = np.full(int(whole.max(initial=-1)) + 1, -1, np.int8)
    side[names] = chosen.side
    drawn = side[whole] >= 0
    codes[drawn & drawable] = side[whole][drawn & drawable]
    beside = drawn & ~drawable & ((given == GIVEN_POOL) | ((given == NOTHING) & (codes != UNUSED)))
    codes[beside] = UNUSED
    if beside.any():
        warnings.append(
            f"{int(beside.sum()):,} patches of the pool are left unused: they share a patient, slide or pixels with "
            "patches drawn for validation or test"
        )
    return frozenset(np.unique(kind[rows]).tolist())


def _nothing_drawn(name: str, units: int, lost: int, droppable: bool) -> ChainError:
    """lost: patches tied to given ones; droppable: whether what makes units large are copies that may be dropped."""
    drop = ", or set splits.duplicates: drop" if droppable else ""
    return ChainError(
        f"splits.{name}: nothing can be drawn from {units:,} units"
        + (f" ({lost:,} patches are tied to given ones by patient, slide or pixels)" if lost else ""),
        "a unit (patient, slide or patch, with all that share its pixels) is never divided, "
        "and training needs a label of every class",
        f"name a source of part {name}, set splits.{name}: 0, label patches of more patients{drop}",
        ExitCode.BAD_DATA,
    )


def _warn_of_too_few(name: str, got: np.ndarray, target: np.ndarray, warnings: list[str]) -> None:
    # got, target: (C,)
    wanted = int(target.sum())
    if got.sum() < wanted / 2:
        warnings.append(
            f"{name} has {int(got.sum()):,} of the {wanted:,} patches asked for: whole units, and training needs a "
            "label of every class"
        )


def warn_of_unjudged(codes: np.ndarray, truth: np.ndarray, classes: Sequence[str], warnings: list[str]) -> None:
    """Say which classes validation and test have no patch of, drawn or given; arguments as of `draw_held_out`."""
    for code, name in zip(_HELD_OUT, NAMES, strict=True):
        counts = np.bincount(truth[codes == code], minlength=len(classes))
        lacking = [shortened(classes[int(k)]) for k in np.flatnonzero(counts == 0)]
        if lacking and counts.any():
            what = "its figures, and what it decides," if code == VALIDATION else "its figures"
            warnings.append(f"{name} has no patch of class {', '.join(lacking)}: {what} are of the other classes alone")


def warn_of_unknown(codes: np.ndarray, kind: np.ndarray, told: frozenset[int], warnings: list[str]) -> None:
    """Say of patches whose patient is not known that nothing tells training from what is held out; as above.

    told: kinds of which it has been said already.
    """
    training, held_out = np.isin(codes, (LABELLED, POOL)), np.isin(codes, _HELD_OUT)
    if not training.any() or not held_out.any():
        return
    for which, lacking, other in ((PATCH, "no patient and no slide", "slide"), (SLIDE, "no patient", "patient")):
        if which in told:
            continue
        counts = np.bincount(codes[kind == which], minlength=len(SPLITS))[:UNUSED]
        if said := [f"{n:,} of {name}" for name, n in zip(SPLITS, counts.tolist(), strict=False) if n]:
            warnings.append(
                f"patches have {lacking} ({', '.join(said)}): nothing tells whether training and what is held out are "
                f"of the same {other}s; where they are, validation and test will look better than a new {other} does"
            )


def drawable_rows(codes: np.ndarray, given: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) bool: labelled patches of which nothing is said and that are not yet out."""
    rows: np.ndarray = (given == NOTHING) & (codes != UNUSED) & (truth >= 0)
    return rows


def wanted_shares(codes: np.ndarray, drawable: np.ndarray, config: SplitsConfig) -> list[float | int]:
    """What is to be drawn for validation and for test: a share below 1, a number a class, or 0."""
    return [
        _share(asked, (codes == code).any(), drawable.any())
        for asked, code in zip((0 if config.folds else config.validation, config.test), _HELD_OUT, strict=True)
    ]


def tied_to_given(given: np.ndarray, units: np.ndarray) -> np.ndarray:
    """(N,) bool: patches of a unit (N,) that has a patch given to training, validation or test."""
    tied = np.zeros(int(units.max(initial=-1)) + 1, bool)
    tied[units[~np.isin(given, (NOTHING, GIVEN_POOL))]] = True
    rows: np.ndarray = tied[units]
    return rows


def _share(asked: Share | None, given: bool | np.bool_, drawable: bool | np.bool_) -> float | int:
    if asked is not None:
        return asked
    return DEFAULT_SHARE if drawable and not given else 0


def _wanted(share: float | int, n: int) -> float:
    return float(min(share, n)) if isinstance(share, int) else share * n


def _warn_of_units(
    table: PatchTable, kind: np.ndarray, whole: np.ndarray, config: SplitsConfig, warnings: list[str]
) -> None:
    if n := int((kind == PATCH).sum()):
        reason = "have no patient and no slide" if config.unit == "auto" else "are to be split by splits.unit: patch"
        warnings.append(
            f"{n:,} patches {reason}: drawn patch by patch; neighbouring patches of one slide can land on both sides, "
            "and validation and test will look better than a new slide does"
        )
    if n := int((kind == SLIDE).sum()):
        reason = "have no patient" if config.unit == "auto" else "are to be split by splits.unit: slide"
        warnings.append(
            f"{n:,} patches {reason}: drawn slide by slide; two slides of one patient can land on both sides, "
            "and validation and test will look better than a new patient does"
        )
    if not len(whole):
        return
    code, n = _largest(whole)
    patients = np.unique(table.patient.codes[whole == code])
    if len(patients) > 1 and n > 0.1 * len(whole):
        warnings.append(
            f"{n:,} patches of {len(patients):,} patients are one unit because they share pixels (empty background?): "
            "they land on one side together"
        )


def _largest(whole: np.ndarray) -> tuple[int, int]:
    sizes = np.bincount(whole)
    return int(sizes.argmax()), int(sizes.max())


@dataclass
class _Units:
    """Units that may be drawn. counts: (K, C) labelled patches; side: (K,) int8, VALIDATION, TEST or -1 for training.

    missing: (2, C) what validation and test still lack; target: (2, C); left: (C,) training patches with a label.
    """

    counts: np.ndarray
    rank: np.ndarray
    side: np.ndarray
    target: np.ndarray
    missing: np.ndarray
    left: np.ndarray

    def put(self, unit: int, which: int) -> None:
        self.side[unit] = _HELD_OUT[which]
        self.missing[which] -= self.counts[unit]
        self.left -= self.counts[unit]

    def gain(self, counts: np.ndarray, which: int) -> np.ndarray:
        """How much nearer `counts` (..., C) brings a split to its target: fall of the squared relative distance."""
        weight = 1 / np.maximum(self.target[which], 1) ** 2
        gain: np.ndarray = (weight * (2 * self.missing[which] * counts - counts.astype(np.float64) ** 2)).sum(axis=-1)
        return gain

    def spares(self, counts: np.ndarray) -> np.ndarray:
        """Whether training keeps a label of every class that `counts` (..., C) takes from."""
        return np.asarray(((counts == 0) | (self.left - counts >= 1)).all(axis=-1))


def _fill(units: _Units) -> None:
    """Choose units for validation and test, as near to the targets a class as whole units allow."""
    order = np.argsort(units.rank, kind="stable")
    mixed = (units.counts[order] > 0).sum(axis=1) > 1
    # units of several classes first, one by one; those of a single class then fill what is missing
    for unit in order[mixed]:
        counts = units.counts[unit]
        if units.spares(counts):
            gains = [float(units.gain(counts, which)) for which in (0, 1)]
            best = int(np.argmax(gains))
            if gains[best] > 0:
                units.put(int(unit), best)
    for code in range(units.counts.shape[1]):
        single = ~mixed & (units.counts[order, code] > 0)
        able = min(units.counts[order[single], code].sum(), units.left[code] - 1)
        # where there is too little for both, both get their part of it
        wanted = np.maximum(units.missing[:, code], 0)
        limit = wanted * min(1.0, able / wanted.sum()) if wanted.any() else wanted
        for which in (1, 0):
            pure = order[single & (units.side[order] < 0)]
            sizes = units.counts[pure, code]
            sums = np.cumsum(sizes)
            # a unit is taken while more than half of it is still missing
            fits = (sums - sizes / 2 <= limit[which]) & (sums <= units.left[code] - 1)
            taken = pure[: int(np.argmin(np.r_[fits, False]))]
            units.side[taken] = _HELD_OUT[which]
            units.missing[which, code] -= units.counts[taken, code].sum()
            units.left[code] -= units.counts[taken, code].sum()
    for which in (1, 0):
        for code in np.argsort(units.target[which], kind="stable"):
            # a class that is wanted and came away with nothing gets its best unit, if training can spare one
            if units.target[which, code] > 0 and units.missing[which, code] == units.target[which, code]:
                able = order[(units.counts[order, code] > 0) & (units.side[order] < 0)]
                able = able[units.spares(units.counts[able])]
                if len(able):
                    units.put(int(able[units.gain(units.counts[able], which).argmax()]), which)
