"""Given labels that look wrong, by probabilities of models that did not learn them."""

from dataclasses import dataclass

import numpy as np

from data.patches.labels import GivenLabels
from pipeline.report.likeness import Likeness
from pipeline.report.run import Run
from stages.measures.label_errors import suspected

WORDS = {
    "labelled": "logistic regression on the newest model's embeddings, fitted without the patch's own patient (else "
    "slide, else patch), in at most five folds; that model was itself trained on these labels, so some errors hide",
    "validation": "what the newest round believes of them, its teacher or labels propagated from others; none of them "
    "has taught it",
    "test": "the newest round's teacher, which never trained on them",
}


@dataclass(frozen=True)
class Suspects:
    """Labels of one split that look wrong, the most doubtful first. looked_at: how many labels were judged.

    ids: (M,) uint64; given, looks: (M,) classes; probs: (M, C).
    """

    split: str
    looked_at: int
    ids: np.ndarray
    given: np.ndarray
    looks: np.ndarray
    probs: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def without(self, ids: np.ndarray) -> "Suspects":
        """Of all other patches than `ids`."""
        rest = ~np.isin(self.ids, ids)
        columns = (column[rest] for column in (self.ids, self.given, self.looks, self.probs))
        return Suspects(self.split, self.looked_at, *columns)


def suspects(run: Run, likeness: Likeness | None) -> list[Suspects]:
    """Of every split with given labels that something can be said of: labelled, validation, test.

    A label that a person has reviewed is not doubted any more.
    """
    found = []
    if likeness is not None and likeness.probs is not None:
        rows = likeness.labelled
        own = _of("labelled", likeness.ids[rows], likeness.label[rows].astype(np.int64), likeness.probs)
        found.append(own.without(run.reviewed.ids))
    if run.numbers:
        last = run.round(run.numbers[-1])
        parts: tuple[tuple[str, GivenLabels], ...] = (("validation", run.splits.validation), ("test", run.splits.test))
        for name, given in parts:
            if len(given):
                probs = last.held_out_probs(given, name)
                found.append(_of(name, given.ids, given.label.astype(np.int64), probs))
    return found


def _of(split: str, ids: np.ndarray, given: np.ndarray, probs: np.ndarray) -> Suspects:
    rows, looks = suspected(probs, given)
    return Suspects(split, len(ids), ids[rows], given[rows], looks, probs[rows])
