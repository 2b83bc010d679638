"""Why a chain ends at a selection: there is nothing more to learn, or nobody to see that it went wrong."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.select.past import Past
from stages.select.selection import Selection, read_pieces, read_selection, same


def stop_reason(
    selection: Selection, previous: Selection | None, pool: int, news: bool = False
) -> tuple[str, str] | None:
    """Why no student is worth training on this selection: (reason, detail), or None. Pure.

    news: people have labelled patches since the round before, so that there is more to learn than the selection.
    """
    if not (selection.copies > 0).any():
        return "nothing_selected", f"the rule kept none of {pool:,} pool patches"
    if previous is None or news:
        return None
    if same(selection, previous):
        return "no_change", "the same patches, labels and copies were kept as in the round before"
    plain_weights = bool((selection.weight == 1).all() and (previous.weight == 1).all())
    # weights are a choice too: a rule that keeps everything with weights has not run out of pool
    if plain_weights and len(np.unique(selection.ids)) == len(np.unique(previous.ids)) == pool:
        return "pool_exhausted", f"all {pool:,} pool patches were kept, as in the round before"
    return None


def stop_at(path: Path, past: Past | None, pool: int, news: bool) -> tuple[str, str] | None:
    """`stop_reason` of the selection at `path`."""
    if past is not None:
        return stop_reason(read_selection(path), past.selection, pool, news)
    # in a first round a part of it in which a patch is seen says as much as the whole
    for piece in read_pieces(path):
        if (reason := stop_reason(piece, None, pool)) is None:
            break
    return reason


def collapsed(kept: np.ndarray, labelled: np.ndarray, classes: Sequence[str]) -> tuple[str, str] | None:
    """Why a student that no label would judge is not to be taught this: (reason, detail), or None. Pure.

    kept, labelled: (C,) patches by class. With validation the gate decides whether such a student is worse.
    """
    given = np.count_nonzero(labelled)
    if np.count_nonzero(kept) != 1 or given < 2:
        return None
    one = int(kept.argmax())
    every = f"all {kept[one]:,} kept patches are called {classes[one]}, and the labels have {given} classes"
    return "one_class", f"{every}; no validation label would judge a student of it"
