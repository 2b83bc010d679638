"""Which labels that were given to the chain a person should look at again: confident learning on the training labels.

Only labels that train. A held-out label judges the chain; were it corrected by people who see what the chain says of
it, and only where it disagrees, every figure would flatter.
"""

import math
from dataclasses import dataclass

import numpy as np

from data.errors import ChainError, ExitCode
from data.keys import uniform
from data.patches.labels import GivenLabels
from pipeline.plan import SPLITS, STORE, at
from pipeline.report.run import Run
from stages.measures.judged import groups_of
from stages.measures.label_errors import out_of_fold, suspected

MOST = 20_000  # labels judged, drawn by id: beyond that the regressions take minutes


@dataclass(frozen=True)
class Doubted:
    """Labels in doubt, the most doubtful first. ids: (M,) uint64; given, looks: (M,) classes; probs: (M, C)."""

    ids: np.ndarray
    given: np.ndarray
    looks: np.ndarray
    probs: np.ndarray


def doubted(run: Run, number: int, known: np.ndarray) -> Doubted:
    """The given labels that look wrong in a round; never one of `known` (reviewed already).

    By out-of-fold probabilities of a regression on what the frozen encoder sees in the patches, where the chain has
    one: it has learnt none of these labels. Else on what the round's teacher sees, which has learnt them all, by heart
    at worst, and then hides their errors: the mean of both would hide them too. A function of what is committed.
    Raises ChainError (66) where the round has no selection, (65) where a class has too few labels to be judged.
    """
    run.round(number)  # names a round that has none
    given = _drawn(run)
    label = given.label.astype(np.int64)
    groups, features = groups_of(run.table, given.ids), _features(run, number, given.ids)
    probs = out_of_fold(features, label, groups, len(run.classes), run.seed)
    if probs is None:
        raise ChainError(
            f"{run.layout.root}: the given labels cannot be judged",
            "a class has one label, and nothing is left to learn it from when that one is held out",
            "give each class two labels at least, or export with --pick informative",
            ExitCode.BAD_DATA,
        )
    rows, looks = suspected(probs, label)
    new = ~np.isin(given.ids[rows], known)
    rows, looks = rows[new], looks[new]
    return Doubted(given.ids[rows], label[rows], looks, probs[rows])


def _drawn(run: Run) -> GivenLabels:
    """The labels as they are now, with every review; of very many a draw by id."""
    given = run.given.labelled
    if len(given) <= MOST:
        return given
    rows = np.sort(np.argsort(uniform(given.ids, "review", "doubted", run.seed), kind="stable")[:MOST])
    return GivenLabels(given.ids[rows], given.label[rows])


def _features(run: Run, number: int, ids: np.ndarray) -> np.ndarray:
    """(N, D): as the encoder, else the teacher, was heard by the predict step; else the teacher is asked now."""
    from stages.predict.embedding import OF_ENCODER, OF_TEACHER, read_embeddings
    from stages.predict.seeing import embed

    for address, name in ((at(0, "predict"), OF_ENCODER), (at(number, "predict"), OF_TEACHER)):
        if (path := run.layout.place(address) / name).is_file():
            return read_embeddings(path).of(ids)
    teacher, store, splits = (run.layout.place(address) for address in (at(number, "teacher"), STORE, SPLITS))
    return embed(teacher, store, splits, ids, math.inf)
