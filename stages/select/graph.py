"""From embeddings and given labels to scores of the pool and of validation, where a rule propagates labels."""

import warnings
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode
from data.keys import seed_of
from data.labels import GivenLabels
from data.splits import Splits
from stages.job import Job
from stages.predict.embedding import OF_ENCODER, OF_TEACHER, read_embeddings
from stages.scores import Scores, read_scores
from stages.select.propagate import Propagate, drawn_inside, embedded, propagated

FILE = "believed.h5"
FOLDS = 5


def scores_of(select: Path, predict: Path, part: str) -> Scores:
    """What a round believes of a part before temperature and alignment: propagated labels, else the teacher's scores.

    select, predict: directories of that round's stages. Raises ChainError (66, 76).
    """
    own = select / FILE
    return read_scores(own if own.is_file() else predict / "scores.h5", part)


class Graph:
    """The patches of a round as points, given labels among them. Raises ChainError (66, 76, 78)."""

    def __init__(self, job: Job, section: Propagate, splits: Splits, pool: np.ndarray) -> None:
        self._section, self._splits, self._seed = section, splits, seed_of(job.seed, "propagate")
        self._ids = np.sort(np.concatenate([splits.labelled.ids, pool, splits.validation.ids]))
        self._sources = {name: read_embeddings(path).of(self._ids) for name, path in _files(job).items()}

    def scores(self, ids: np.ndarray) -> Scores:
        """What given labels tell of the patches `ids`, which are ascending; of validation no label takes part."""
        return self._told(list(self._sources), self._splits.labelled, ids)

    def accuracy(self, group: np.ndarray) -> float | None:
        """How often the pool is told right, as far as given labels can say without validation; None: too few of them.

        Told by other folds, given labels are right too often, since the teacher has learnt them all; by the encoder's
        embeddings alone, which know no label, too seldom, since the teacher's are better. The truth lies between, and
        so does what is returned: the middle. Without an encoder it is the first figure, which flatters.
        """
        each = []
        for sources in [list(self._sources), [OF_ENCODER] if OF_ENCODER in self._sources else list(self._sources)]:
            scores, given = self._folds(group, sources)
            if not len(given):
                return None
            each.append(float((scores.log_probs.argmax(axis=1) == given.label).mean()))
        return sum(each) / 2

    def _folds(self, group: np.ndarray, sources: list[str]) -> tuple[Scores, GivenLabels]:
        """The given labels as other folds tell them, whole groups (L,) in a fold; empty where there are too few."""
        from sklearn.model_selection import StratifiedGroupKFold

        given = self._splits.labelled
        count = min(FOLDS, *(len(np.unique(group[given.label == k])) for k in np.unique(given.label)))
        told = np.zeros(len(given), bool)
        log_probs = np.zeros((len(given), len(self._splits.classes)), np.float16)
        if count >= 2:
            folds = StratifiedGroupKFold(count, shuffle=True, random_state=self._seed % 2**32)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # classes are uneven over the groups: such folds are passed over below
                drawn = list(folds.split(given.ids, given.label, group))
            for others, own in drawn:
                rest = GivenLabels(given.ids[others], given.label[others])
                if len(np.unique(rest.label)) == len(np.unique(given.label)):
                    log_probs[own] = self._told(sources, rest, given.ids[own]).log_probs
                    told[own] = True
        return Scores(given.ids[told], log_probs[told]), GivenLabels(given.ids[told], given.label[told])

    def _told(self, sources: list[str], given: GivenLabels, ids: np.ndarray) -> Scores:
        judged = np.union1d(self._splits.validation.ids, np.setdiff1d(self._splits.labelled.ids, given.ids))
        must, never = np.isin(self._ids, given.ids), np.isin(self._ids, judged)
        inside = drawn_inside(self._ids, must, never, self._section.most, self._seed)
        points = embedded([self._sources[name] for name in sources], self._section.components)
        label, rows = given.label.astype(np.int64), np.searchsorted(self._ids, given.ids)
        said = propagated(self._section, points, rows, label, len(self._splits.classes), inside)
        return Scores(ids, np.log(said[np.searchsorted(self._ids, ids)]).astype(np.float16))


def _files(job: Job) -> dict[str, Path]:
    # the encoder never learns, so the first round's word holds for all
    first = job.inputs.get("first_predict", job.inputs.get("previous_predict", job.inputs["predict"]))
    found = {OF_TEACHER: job.inputs["predict"] / OF_TEACHER, OF_ENCODER: first / OF_ENCODER}
    there = {name: path for name, path in found.items() if path.is_file()}
    if not there:
        raise ChainError(
            f"{job.address}: select.propagate has nothing to tell alike patches by",
            "the scores of this round were made without embeddings",
            "set predict.embeddings: true, or name a predict.encoder, and rerun RUN --from rounds/00/predict",
            ExitCode.MISMATCH,
        )
    return there
