"""Draw the splits: pure functions of what is known of the patches, a configuration and its seed."""

from collections.abc import Callable, Sequence

import numpy as np

from data.errors import ChainError, ExitCode
from data.keys import uniform
from data.patches.given import GIVEN, GIVEN_LABELLED, GIVEN_POOL, GIVEN_TEST, GIVEN_VALIDATION, NOTHING, given_codes
from data.patches.ids import id_text
from data.patches.names import alike
from data.patches.table import Column, PatchTable
from data.printable import shortened
from data.splits.config import LabelCount, LabelFraction, SplitsConfig
from data.splits.folds import leave_out
from data.splits.held_out import draw_held_out, warn_of_unjudged, warn_of_unknown
from data.splits.leakage import audit, drop_copies, leak_error
from data.splits.nothing_free import refuse_nothing_free
from data.splits.units import KINDS, joined, pixel_groups, units
from data.splits.written import LABELLED, POOL, TEST, UNUSED, VALIDATION, Assignment
from data.store.source_labels import SourceLabels


def draw(
    table: PatchTable,
    label: Column,
    split: Column,
    part: Column,
    classes: Sequence[str],
    config: SplitsConfig,
    key: Callable[[int], str] = lambda row: f"row {row}",
) -> Assignment:
    """Give every patch its split.

    label, split, part: what the sources say, rows as in `table`. `part` decides for a whole source; in a source
    of part `split` the row's own split decides, and where there is none, chance. Validation and test are drawn
    by whole units (patient, slide or patch; units that share pixels are one), then the labels a class among the
    remaining patches. A patch of a drawn unit without a label is `unused`, never pool. The result does not
    depend on the order of the rows, and a smaller `labels` draws a subset of a larger one. Of `folds`, one part of what
    would be labelled is validation instead.
    key: a row's place in its source, for messages.
    Raises ChainError (65): fewer than two classes, labelled, validation or test without a label, a class without
    any training label, too few units.
    """
    _refuse_one_class(classes)
    order = np.argsort(table.ids, kind="stable")
    table = _take(table, order)

    def place(row: int) -> str:
        return f"{table.source[row]}:{key(int(order[row]))} (patch {id_text(table.ids[row])})"

    given = given_codes(split.take(order), part.take(order))
    truth = _encode(label.take(order), classes, place)
    _refuse_unlabelled(given, truth, place)
    base, kind = units(table, config.unit)
    groups = pixel_groups(table)
    warnings: list[str] = []

    _warn_of_overruled(given, split.take(order), warnings)
    codes = _apply_given(given)
    _set_aside_beside_given(codes, given, base, warnings)
    if config.duplicates == "drop":
        _drop_between_units(codes, given, truth, base, groups, warnings)
    # what is already out joins nothing
    alone = int(groups.max(initial=0)) + 1 + np.arange(len(groups))
    shared = np.where(codes == UNUSED, alone, groups)
    whole = joined(base, shared)
    refuse_nothing_free(codes, given, truth, base, shared, whole, config, place)
    told = draw_held_out(codes, given, truth, whole, kind, table, classes, config, warnings)
    if config.duplicates == "drop":
        _drop(codes, table, warnings)
    _draw_labels(codes, given, truth, groups, table, classes, config, warnings)
    _warn_of_conflicts(codes, truth, groups, place, warnings)
    if config.duplicates == "drop":
        _drop(codes, table, warnings)
    _refuse_empty(codes, truth, classes)
    warn_of_unjudged(codes, truth, classes, warnings)  # of a fold all others together judge the rest
    if config.folds is not None:
        leave_out(codes, truth, whole, kind, table.ids, classes, config, warnings)
    for what, names in (("classes", classes), ("patients", table.patient.names), ("slides", table.slide.names)):
        if found := alike(names):
            one, other, how = found
            warnings.append(
                f"{shortened(one)!r} and {shortened(other)!r} differ in {how} alone and are taken for two "
                f"{what}: if they are one, write them alike in the source"
            )
    if config.unit == "auto":
        warn_of_unknown(codes, kind, told, warnings)
    if not (codes == POOL).any():
        warnings.append("the pool is empty: there is nothing to pseudo-label")
    if not (codes == VALIDATION).any():
        warnings.append(
            "there is no validation: no held-out label calibrates confidences, every student is promoted, and nothing "
            "ends the chain early; `crossval` finds how many rounds are worth it"
        )
    names = [name for at, name in enumerate(KINDS) if (kind == at).any()]
    fold = None if config.folds is None or config.fold is None else (config.fold, config.folds)
    return Assignment(table.ids, codes, truth, tuple(classes), " and ".join(names), tuple(warnings), fold)


def draw_without_leaks(
    table: PatchTable,
    said: SourceLabels,
    classes: Sequence[str],
    config: SplitsConfig,
    key: Callable[[int], str] = lambda row: f"row {row}",
) -> Assignment:
    """Draw, then audit. key: a row's place in its source, for messages. Raises ChainError (65) naming a leak."""
    drawn = draw(table, said.label, said.split, said.part, classes, config, key)
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


def _encode(label: Column, classes: Sequence[str], place: Callable[[int], str]) -> np.ndarray:
    # label text -> (N,) int16 into classes, -1: none
    at = {name: code for code, name in enumerate(classes)}
    codes: np.ndarray = np.array([at.get(str(name), -2) for name in label.names] + [-1], np.int16)[label.codes]
    unknown = np.flatnonzero(codes == -2)
    if len(unknown):
        row = int(unknown[0])
        raise ChainError(
            f"label {shortened(label[row])!r} is not one of the classes ({len(unknown):,} patches), the first: "
            f"{place(row)}",
            f"the classes are {', '.join(map(shortened, classes))}",
            "add it to data.classes, or correct the label",
            ExitCode.BAD_DATA,
        )
    return codes


def _refuse_one_class(classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise ChainError(
            f"only one class: {shortened(classes[0])}" if classes else "no patch has a label",
            "a network learns to tell classes apart: it needs two or more",
            "add patches of another class"
            if classes
            else "give the source labels; prepared patches get theirs by prepare.annotations, prepare.labels or "
            "prepare.table, and are prepared again",
            ExitCode.BAD_DATA,
        )


def _refuse_unlabelled(given: np.ndarray, truth: np.ndarray, place: Callable[[int], str]) -> None:
    bare = np.flatnonzero((truth < 0) & np.isin(given, (GIVEN_LABELLED, GIVEN_VALIDATION, GIVEN_TEST)))
    if len(bare):
        row = int(bare[0])
        raise ChainError(
            f"{len(bare):,} patches are given as {GIVEN[given[row]]} but have no label, the first: {place(row)}",
            "labelled, validation and test patches are judged by their labels",
            "give the labels, or make these patches part of the pool",
            ExitCode.BAD_DATA,
        )


def _apply_given(given: np.ndarray) -> np.ndarray:
    # where nothing is said or `train`, pool until drawn
    codes: np.ndarray = np.array([POOL, POOL, LABELLED, POOL, VALIDATION, TEST], np.int8)[given]
    return codes


def _warn_of_overruled(given: np.ndarray, split: Column, warnings: list[str]) -> None:
    # the part of a source decides for all of it; that its own rows hold some of it out must not be lost unseen
    held_out = np.array([str(name) in ("validation", "test") for name in split.names] + [False])[split.codes]
    if n := int((held_out & np.isin(given, (GIVEN_LABELLED, GIVEN_POOL))).sum()):
        warnings.append(
            f"{n:,} patches that their source has as validation or test are labelled or pool, by the part of the source"
        )


def _set_aside_beside_given(codes: np.ndarray, given: np.ndarray, base: np.ndarray, warnings: list[str]) -> None:
    # a given validation or test set stays as given: the rest of its patients or slides neither trains nor joins it
    held = np.zeros(int(base.max(initial=-1)) + 1, bool)
    held[base[(given == GIVEN_VALIDATION) | (given == GIVEN_TEST)]] = True
    beside = held[base] & (given == NOTHING)
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
    keep_first = np.array([2, 1, 1, 4, 0, 0])[given] + ((given == NOTHING) & (truth < 0)) + 8 * (codes == UNUSED)
    order = np.lexsort((keep_first, groups))  # stable: ties by rising id
    first = order[np.r_[True, groups[order[1:]] != groups[order[:-1]]][: len(order)]]
    copies = (base != base[first][groups]) & np.isin(given, (NOTHING, GIVEN_POOL)) & (codes != UNUSED)
    codes[copies] = UNUSED
    if copies.any():
        warnings.append(f"{int(copies.sum()):,} patches are left unused: another patient or slide has the same pixels")


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
    able = np.flatnonzero((codes == POOL) & (given != GIVEN_POOL) & (truth >= 0))
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
    copies = (codes == POOL) & (chosen[groups] | (labelled[groups] & (given != GIVEN_POOL)))
    codes[copies] = UNUSED
    if copies.any():
        warnings.append(f"{int(copies.sum()):,} patches are left unused: a labelled patch has the same pixels")


def _label_count(labels: LabelFraction | LabelCount, n: int) -> int:
    return labels.count if isinstance(labels, LabelCount) else max(1, int(np.floor(labels.fraction * n + 0.5)))


def _warn_of_conflicts(
    codes: np.ndarray, truth: np.ndarray, groups: np.ndarray, place: Callable[[int], str], warnings: list[str]
) -> None:
    rows = np.flatnonzero(np.isin(codes, (LABELLED, VALIDATION, TEST)))
    pairs, first = np.unique(np.stack([groups[rows], truth[rows]], axis=1), axis=0, return_index=True)
    _, at, counts = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    if n := int((counts > 1).sum()):
        one = int(at[counts > 1][0])
        shown = " and ".join(place(int(rows[first[one + i]])) for i in range(2))
        warnings.append(f"{n:,} groups of patches have the same pixels and different labels, for instance {shown}")


def _refuse_empty(codes: np.ndarray, truth: np.ndarray, classes: Sequence[str]) -> None:
    counts = np.bincount(truth[codes == LABELLED], minlength=len(classes))
    empty = [name for name, n in zip(classes, counts, strict=True) if n == 0]
    if empty:
        raise ChainError(
            f"no labelled patch of class {', '.join(map(shortened, empty))}",
            "a class nobody shows to the teacher is never learnt",
            "label at least one patch of it outside validation and test; or leave its patches out of the sources, and "
            "it out of data.classes",
            ExitCode.BAD_DATA,
        )
