"""Draw the splits: pure functions of what is known of the patches, a configuration and its seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.errors import ChainError, ExitCode
from data.keys import uniform
from data.leakage import audit, drop_copies, leak_error
from data.source_labels import SourceLabels
from data.splits import LABELLED, POOL, TEST, UNUSED, VALIDATION, Assignment
from data.splits_config import LabelCount, LabelFraction, Share, SplitsConfig
from data.table import Column, PatchTable, id_text
from data.units import joined, pixel_groups, units

DEFAULT_SHARE = 0.2
_GIVEN = ("", "train", "labelled", "pool", "validation", "test")
_NOTHING, _TRAIN, _LABELLED, _POOL, _VALIDATION, _TEST = range(6)


def draw(
    table: PatchTable, label: Column, split: Column, part: Column, classes: Sequence[str], config: SplitsConfig
) -> Assignment:
    """Give every patch its split.

    label, split, part: what the sources say, rows as in `table`. `part` decides for a whole source; in a source
    of part `split` the row's own split decides, and where there is none, chance. Validation and test are drawn
    by whole units (patient, slide or patch; units that share pixels are one), then the labels a class among the
    remaining patches. A patch of a drawn unit without a label is `unused`, never pool. The result does not
    depend on the order of the rows, and a smaller `labels` draws a subset of a larger one.
    Raises ChainError (65): labelled, validation or test without a label, a class without any training label,
    too few units.
    """
    order = np.argsort(table.ids, kind="stable")
    table = _take(table, order)
    given = _given(split.take(order), part.take(order))
    truth = _encode(label.take(order), classes, table)
    _refuse_unlabelled(table, given, truth)
    base, kind = units(table, config.unit)
    groups = pixel_groups(table)
    warnings: list[str] = []

    codes = _apply_given(given)
    _set_aside_beside_given(codes, given, base, warnings)
    if config.duplicates == "drop":
        _drop_between_units(codes, given, truth, base, groups, warnings)
    # what is already out joins nothing
    alone = int(groups.max(initial=0)) + 1 + np.arange(len(groups))
    whole = joined(base, np.where(codes == UNUSED, alone, groups))
    _draw_held_out(codes, given, truth, whole, kind, table, classes, config, warnings)
    if config.duplicates == "drop":
        _drop(codes, table, warnings)
    _draw_labels(codes, given, truth, groups, table, classes, config, warnings)
    if config.duplicates == "drop":
        _drop(codes, table, warnings)
    _refuse_empty(codes, truth, classes)
    if not (codes == POOL).any():
        warnings.append("the pool is empty: there is nothing to pseudo-label")
    names = [name for at, name in enumerate(("patient", "slide", "patch")) if (kind == at).any()]
    return Assignment(table.ids, codes, truth, tuple(classes), " and ".join(names), tuple(warnings))


def draw_without_leaks(
    table: PatchTable,
    said: SourceLabels,
    classes: Sequence[str],
    config: SplitsConfig,
    key: Callable[[int], str] = lambda row: f"row {row}",
) -> Assignment:
    """Draw, then audit. key: a row's place in its source, for messages. Raises ChainError (65) naming a leak."""
    drawn = draw(table, said.label, said.split, said.part, classes, config)
    split = drawn.split[np.searchsorted(drawn.ids, table.ids)]
    if leaks := audit(table, split, config.unit):
        raise leak_error(leaks, table, key)
    return drawn


def _take(table: PatchTable, rows: np.ndarray) -> PatchTable:
    return PatchTable(
        table.ids[rows],
        table.pixels[rows],
        table.source.take(rows),
        table.patient.take(rows),
        table.slide.take(rows),
        table.site.take(rows),
    )


def _given(split: Column, part: Column) -> np.ndarray:
    # what the sources say, (N,) int8 into _GIVEN: the part, or in sources to be split, the row's own split
    own, whole = (
        np.array([_GIVEN.index(str(name)) if name != "split" else _NOTHING for name in column.names] + [_NOTHING])
        for column in (split, part)
    )
    to_split = np.array([name == "split" for name in part.names] + [True])
    given: np.ndarray = np.where(to_split[part.codes], own[split.codes], whole[part.codes]).astype(np.int8)
    return given


def _encode(label: Column, classes: Sequence[str], table: PatchTable) -> np.ndarray:
    # label text -> (N,) int16 into classes, -1: none
    at = {name: code for code, name in enumerate(classes)}
    codes: np.ndarray = np.array([at.get(str(name), -2) for name in label.names] + [-1], np.int16)[label.codes]
    unknown = np.flatnonzero(codes == -2)
    if len(unknown):
        row = int(unknown[0])
        raise ChainError(
            f"label {label[row]!r} of source {table.source[row]} is not one of the classes ({len(unknown):,} patches)",
            f"the classes are {', '.join(classes)}",
            "add it to data.classes, or correct the label",
            ExitCode.BAD_DATA,
        )
    return codes


def _refuse_unlabelled(table: PatchTable, given: np.ndarray, truth: np.ndarray) -> None:
    bare = np.flatnonzero((truth < 0) & np.isin(given, (_LABELLED, _VALIDATION, _TEST)))
    if len(bare):
        row = int(bare[0])
        raise ChainError(
            f"{len(bare):,} patches are given as {_GIVEN[given[row]]} but have no label, the first: "
            f"{id_text(table.ids[row])} of source {table.source[row]}",
            "labelled, validation and test patches are judged by their labels",
            "give the labels, or make these patches part of the pool",
            ExitCode.BAD_DATA,
        )


def _apply_given(given: np.ndarray) -> np.ndarray:
    # where nothing is said or `train`, pool until drawn
    codes: np.ndarray = np.array([POOL, POOL, LABELLED, POOL, VALIDATION, TEST], np.int8)[given]
    return codes


def _set_aside_beside_given(codes: np.ndarray, given: np.ndarray, base: np.ndarray, warnings: list[str]) -> None:
    # a given validation or test set stays as given: the rest of its patients or slides neither trains nor joins it
    held = np.zeros(int(base.max(initial=-1)) + 1, bool)
    held[base[(given == _VALIDATION) | (given == _TEST)]] = True
    beside = held[base] & (given == _NOTHING)
    codes[beside] = UNUSED
    if beside.any():
        warnings.append(
            f"{int(beside.sum()):,} patches are left unused: other patches of their patient or slide are given as "
            "validation or test"
        )


def _drop_between_units(
    codes: np.ndarray, given: np.ndarray, truth: np.ndarray, base: np.ndarray, groups: np.ndarray, warnings: list[str]
) -> None:
    # of copies in several patients or slides one stays, else shared background would tie all patients into one unit
    keep_first = np.array([2, 1, 1, 4, 0, 0])[given] + ((given == _NOTHING) & (truth < 0)) + 8 * (codes == UNUSED)
    order = np.lexsort((keep_first, groups))  # stable: ties by rising id
    first = order[np.r_[True, groups[order[1:]] != groups[order[:-1]]][: len(order)]]
    copies = (base != base[first][groups]) & np.isin(given, (_NOTHING, _POOL)) & (codes != UNUSED)
    codes[copies] = UNUSED
    if copies.any():
        warnings.append(f"{int(copies.sum()):,} patches are left unused: another patient or slide has the same pixels")


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


_HELD_OUT = (VALIDATION, TEST)
_NAMES = ("validation", "test")


def _draw_held_out(
    codes: np.ndarray,
    given: np.ndarray,
    truth: np.ndarray,
    whole: np.ndarray,
    kind: np.ndarray,
    table: PatchTable,
    classes: Sequence[str],
    config: SplitsConfig,
    warnings: list[str],
) -> None:
    free = (given == _NOTHING) & (codes != UNUSED)
    drawable = free & (truth >= 0)
    shares = [
        _share(asked, (codes == code).any(), drawable.any())
        for asked, code in zip((config.validation, config.test), _HELD_OUT, strict=True)
    ]
    if not any(shares):
        return
    # a unit with patches given to training, or with the pixels of given validation or test, is not free
    pinned = np.zeros(int(whole.max(initial=-1)) + 1, bool)
    pinned[whole[~np.isin(given, (_NOTHING, _POOL))]] = True
    rows = np.flatnonzero(drawable & ~pinned[whole])
    _warn_of_units(table, kind[rows], whole, config, warnings)
    names, first, unit = np.unique(whole[rows], return_index=True, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(counts, (unit, truth[rows]), 1)
    total = np.bincount(truth[drawable], minlength=len(classes))
    target = np.array([[_wanted(share, int(n)) for n in total] for share in shares])
    trains = (truth >= 0) & np.isin(codes, (LABELLED, POOL)) & (given != _POOL)
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
    for which, name in enumerate(_NAMES):
        got = counts[chosen.side == _HELD_OUT[which]].sum(axis=0)
        if not shares[which]:
            continue
        if not got.any():
            tied = "" if config.duplicates == "drop" else ", or set splits.duplicates: drop"
            raise ChainError(
                f"splits.{name}: nothing can be drawn from {len(names):,} units",
                "a unit (patient, slide or patch, with all that share its pixels) is never divided, "
                "and training needs a label of every class",
                f"name a source of part {name}, set splits.{name}: 0, label patches of more patients{tied}",
                ExitCode.BAD_DATA,
            )
        for code in np.flatnonzero((got == 0) & (target[which] > 0)):
            warnings.append(f"{name} has no patch of class {classes[int(code)]}: too few units have one")
    side = np.full(len(pinned), -1, np.int8)
    side[names] = chosen.side
    drawn = side[whole] >= 0
    codes[drawn & drawable] = side[whole][drawn & drawable]
    beside = drawn & ~drawable & ((given == _POOL) | free)
    codes[beside] = UNUSED
    if beside.any():
        warnings.append(
            f"{int(beside.sum()):,} patches of the pool are left unused: they share a patient, slide or pixels with "
            "patches drawn for validation or test"
        )


def _share(asked: Share | None, given: bool | np.bool_, drawable: bool | np.bool_) -> float | int:
    if asked is not None:
        return asked
    return DEFAULT_SHARE if drawable and not given else 0


def _wanted(share: float | int, n: int) -> float:
    return float(min(share, n)) if isinstance(share, int) else share * n


def _warn_of_units(
    table: PatchTable, kind: np.ndarray, whole: np.ndarray, config: SplitsConfig, warnings: list[str]
) -> None:
    if n := int((kind == 2).sum()):
        reason = "have no patient and no slide" if config.unit == "auto" else "are to be split by splits.unit: patch"
        warnings.append(
            f"{n:,} patches {reason}: drawn patch by patch; neighbouring patches of one slide can land on both sides, "
            "and validation and test will look better than a new slide does"
        )
    if n := int((kind == 1).sum()):
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


def _drop(codes: np.ndarray, table: PatchTable, warnings: list[str]) -> None:
    left = drop_copies(table, codes)
    for code, name in ((LABELLED, "labelled"), (POOL, "pool")):
        if n := int(((codes == code) & (left != code)).sum()):
            warnings.append(f"{n:,} patches of {name} are left unused: another split has the same pixels")
    codes[:] = left


def _draw_labels(
    codes: np.ndarray,
    given: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    table: PatchTable,
    classes: Sequence[str],
    config: SplitsConfig,
    warnings: list[str],
) -> None:
    able = np.flatnonzero((codes == POOL) & (given != _POOL) & (truth >= 0))
    rank = uniform(table.ids[able], "labels", config.seed)
    drawn = np.zeros(len(codes), bool)
    if config.labels == "all":
        drawn[able] = True
    else:
        # of patches with the same pixels one is enough; rows stand by rising id
        single = np.sort(np.unique(groups[able], return_index=True)[1])
        able, rank = able[single], rank[single]
        for code, name in enumerate(classes):
            own = truth[able] == code
            rows = able[own][np.argsort(rank[own], kind="stable")]
            n = _label_count(config.labels, len(rows))
            if n > len(rows) and len(rows):
                warnings.append(f"class {name} has only {len(rows):,} patches to label, {n:,} were asked for")
            drawn[rows[:n]] = True
    codes[drawn] = LABELLED
    # drawing makes no leak: what is still pool and looks the same as a drawn patch, or was free and looks the same
    # as a labelled one, is left out
    chosen, labelled = np.zeros(int(groups.max(initial=-1)) + 1, bool), np.zeros(int(groups.max(initial=-1)) + 1, bool)
    chosen[groups[drawn]] = True
    labelled[groups[codes == LABELLED]] = True
    copies = (codes == POOL) & (chosen[groups] | (labelled[groups] & (given != _POOL)))
    codes[copies] = UNUSED
    if copies.any():
        warnings.append(f"{int(copies.sum()):,} patches are left unused: a labelled patch has the same pixels")
    _warn_of_conflicts(codes, truth, groups, warnings)


def _label_count(labels: LabelFraction | LabelCount, n: int) -> int:
    return labels.count if isinstance(labels, LabelCount) else max(1, int(np.floor(labels.fraction * n + 0.5)))


def _warn_of_conflicts(codes: np.ndarray, truth: np.ndarray, groups: np.ndarray, warnings: list[str]) -> None:
    rows = np.isin(codes, (LABELLED, VALIDATION, TEST))
    pairs = np.unique(np.stack([groups[rows], truth[rows]], axis=1), axis=0)
    contents = np.unique(pairs[:, 0], return_counts=True)[1]
    if n := int((contents > 1).sum()):
        warnings.append(f"{n:,} groups of patches have the same pixels and different labels")


def _refuse_empty(codes: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> None:
    counts = np.bincount(truth[codes == LABELLED], minlength=len(classes))
    empty = [name for name, n in zip(classes, counts, strict=True) if n == 0]
    if empty:
        raise ChainError(
            f"no labelled patch of class {', '.join(empty)}",
            "a class nobody shows to the teacher is never learnt",
            "label at least one patch of it outside validation and test, or take it out of data.classes",
            ExitCode.BAD_DATA,
        )
