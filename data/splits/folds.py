"""Folds of the labelled patches: of what would be labelled, one part judges and never teaches. Pure.

Whole units go into a fold (patients, else slides, else patches, as the splits have them), as even a class as they
allow. The folds are a function of the labelled patches, their number and the seed: whichever fold is asked for, the
others are the same.
"""

from collections.abc import Sequence

import numpy as np

from data.errors import ChainError, ExitCode
from data.keys import uniform
from data.printable import shortened
from data.splits.config import SplitsConfig
from data.splits.units import PATCH
from data.splits.written import LABELLED, POOL, UNUSED, VALIDATION

TRIES = 32
PLURAL = ("patients", "slides", "patches")  # of `units.KINDS`


def leave_out(
    codes: np.ndarray,
    truth: np.ndarray,
    whole: np.ndarray,
    kind: np.ndarray,
    ids: np.ndarray,
    classes: Sequence[str],
    config: SplitsConfig,
    warnings: list[str],
) -> None:
    """Make fold `config.fold` of the labelled rows of `codes` (N,) VALIDATION, and the pool of its units UNUSED.

    truth: (N,) class or -1; whole: (N,) unit that is never divided; kind: (N,) what the unit is (0 patient, 1 slide,
    2 patch); ids: (N,) uint64 ascending. Adds to `warnings`. Raises ChainError (65): there is validation already, or
    the units are too few.
    """
    assert config.folds is not None
    if given := int((codes == VALIDATION).sum()):
        raise ChainError(
            f"splits.folds: {config.folds}, but {given:,} patches are given as validation",
            "a fold takes the place of validation, and there is one already",
            "leave splits.folds and splits.fold out, or make the part or split of these patches `labelled`",
            ExitCode.BAD_DATA,
        )
    rows = np.flatnonzero(codes == LABELLED)
    units, first, unit = np.unique(whole[rows], return_index=True, return_inverse=True)
    counts = np.zeros((len(units), len(classes)), np.int64)
    np.add.at(counts, (unit, truth[rows]), 1)
    words = _words(kind[rows])
    _refuse_few(counts, classes, config.folds, words)
    fold = folds_of(counts, ids[rows[first]], config.folds, config.seed)
    if fold is None:
        raise ChainError(
            f"splits.folds: {config.folds}: in every way that was tried a fold takes all labels of a class",
            f"some {words} have labels of several classes, and a class nobody shows to the teacher is never learnt",
            f"use fewer folds, or label more {words}",
            ExitCode.BAD_DATA,
        )
    out = np.isin(whole, units[fold == config.fold])
    lost = out & (codes == POOL)
    codes[out & (codes == LABELLED)] = VALIDATION
    codes[lost] = UNUSED
    if lost.any():
        warnings.append(
            f"{int(lost.sum()):,} patches of the pool are left unused: they share a patient, slide or pixels with the "
            "fold that is left out"
        )
    if n := int((kind[rows] == PATCH).sum()):
        warnings.append(
            f"{n:,} labelled patches are left out patch by patch: neighbouring patches of one slide can land on both "
            "sides, and the folds will look better than a new slide does"
        )


def folds_of(counts: np.ndarray, ids: np.ndarray, folds: int, seed: int) -> np.ndarray | None:
    """The fold of each unit: (U,) int64 in [0, folds); None where each way tried gives one fold all of a class.

    counts: (U, C) labelled patches of each unit, one of every class somewhere; ids: (U,) uint64, one patch of each.
    The units that hold most of a class come first, each to the fold that lacks its classes most. Ties, and what is
    tried when that leaves a fold to train without a class, are drawn by seed and id.
    """
    total = counts.sum(axis=0)
    share = counts / total
    for attempt in range(TRIES):
        drawn = uniform(ids, "folds", seed, attempt)
        order = np.lexsort((drawn, -share.max(axis=1))) if attempt == 0 else np.argsort(drawn, kind="stable")
        fold, load = np.zeros(len(counts), np.int64), np.zeros((folds, counts.shape[1]))
        for unit in order:
            # what a fold has of the classes of this unit; then what it has at all
            fold[unit] = np.lexsort((load.sum(axis=1), np.round(load @ share[unit], 12)))[0]
            load[fold[unit]] += share[unit]
        taken = np.zeros((folds, counts.shape[1]), np.int64)
        np.add.at(taken, fold, counts)
        if (taken < total).all() and taken.any(axis=1).all():
            return fold
    return None


def _refuse_few(counts: np.ndarray, classes: Sequence[str], folds: int, words: str) -> None:
    """Raise ChainError (65) where the labels of a class come from fewer units than there are folds."""
    units = (counts > 0).sum(axis=0)
    few = np.flatnonzero(units < folds)
    if not len(few):
        return
    least = int(few[units[few].argmin()])
    n, name = int(units[least]), shortened(classes[least])
    others = f" (and {len(few) - 1} more classes from fewer than {folds})" if len(few) > 1 else ""
    raise ChainError(
        f"splits.folds: {folds}, but the labels of class {name} come from only {n:,} of the {words} that are never "
        f"divided{others}",
        f"each fold leaves out whole {words}: with fewer of them than folds, some judge nothing of this class",
        f"use fewer folds: {n} (splits.folds, or --folds of crossval)"
        if n > 1
        else f"label class {name} in a second one: a class that is left out whole cannot be learnt",
        ExitCode.BAD_DATA,
    )


def _words(kind: np.ndarray) -> str:
    """`patients`, or `patients or slides`."""
    return " or ".join(PLURAL[k] for k in np.unique(kind))
