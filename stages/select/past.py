"""What the round before believed, where there was one."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.job import Job
from stages.scores import Scores
from stages.select.belief import Belief, Believed
from stages.select.believed_scores import believed_scores
from stages.select.calibrate import rows_of
from stages.select.evidence import Probs
from stages.select.selection import Selection, continued, read_selection, without


@dataclass(frozen=True)
class Past:
    """selection, belief, quality (the content of quality.json) and scores of the pool, rows by rising id."""

    selection: Selection
    belief: Belief
    quality: dict[str, Any]
    pool: Scores

    def probs(self, ids: np.ndarray) -> Probs:
        """What it believed of the patches `ids` (N,), ascending: (N, C) float32."""
        return Believed(self.belief, self._at(ids))

    def best(self, ids: np.ndarray) -> np.ndarray:
        """The class it believed in most: (N,) int16."""
        return self.belief.best(self._at(ids))

    def continued(self, pieces: Iterable[Selection]) -> Iterator[Selection]:
        """Pieces of a selection by rising id, with `first_round` taken over from this one (see `continued`)."""
        for piece in pieces:
            first, last = piece.ids[:1], piece.ids[-1:]  # none of an empty piece
            start = np.searchsorted(self.selection.ids, first).sum()
            end = np.searchsorted(self.selection.ids, last, side="right").sum()
            yield continued(piece, self.selection.take(slice(int(start), int(end))))

    def _at(self, ids: np.ndarray) -> Scores:
        # most often the same patches as now: then nothing is copied
        same = np.array_equal(self.pool.ids, ids)
        return self.pool if same else Scores(ids, self.pool.log_probs[rows_of(self.pool, ids)])


def read_past(job: Job, gone: np.ndarray) -> Past | None:
    """From the inputs `previous` and `previous_predict`; None in the first round. Raises ChainError (66, 76).

    gone: ids of patches that were pool then and are not now; what was selected of them is left out.
    """
    if "previous" not in job.inputs:
        return None
    before = job.inputs["previous"]
    return Past(
        selection=without(read_selection(before / "selection.parquet"), gone),
        belief=Belief.load(before),
        quality=json.loads((before / "quality.json").read_text()),
        pool=believed_scores(before, job.inputs["previous_predict"], "pool", mapped=True),
    )
