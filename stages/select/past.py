"""What the round before believed, where there was one."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.job import Job
from stages.scores import Scores
from stages.select.belief import Belief
from stages.select.calibrate import rows_of
from stages.select.graph import scores_of
from stages.select.selection import Selection, read_selection, without


@dataclass(frozen=True)
class Past:
    """selection, belief, quality (the content of quality.json) and scores of the pool, rows by rising id."""

    selection: Selection
    belief: Belief
    quality: dict[str, Any]
    pool: Scores

    def probs(self, ids: np.ndarray) -> np.ndarray:
        """What it believed of the patches `ids` (N,): (N, C) float32."""
        return self.belief.of(self._at(ids))

    def best(self, ids: np.ndarray) -> np.ndarray:
        """The class it believed in most: (N,) int64."""
        return self.belief.best(self._at(ids))

    def _at(self, ids: np.ndarray) -> Scores:
        return Scores(ids, self.pool.log_probs[rows_of(self.pool, ids)])


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
        pool=scores_of(before, job.inputs["previous_predict"], "pool"),
    )
