"""What people are asked about follows from what the round believed, not from what its teacher said."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import run_chain
from data.splits.written import load_splits
from pipeline.directory.layout import Layout
from pipeline.report.run import Run
from pipeline.review.choosing import choose
from pipeline.review.exporting import export
from stages.measures.informative import worth
from stages.scores import Scores, read_scores
from stages.select.belief import Belief
from stages.select.believed_scores import BELIEVED
from tests.tiny import CHAIN

NOBODY = np.empty(0, np.uint64)


@pytest.fixture(scope="session")
def propagating(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds that believe propagated labels."""
    where = tmp_path_factory.mktemp("propagating")
    (where / "tiny.yaml").write_text(CHAIN)
    more = ["predict.embeddings=true", "select.propagate={}"]
    words = ["run", str(where / "tiny.yaml"), str(where / "run"), "--threads", "1", "--quiet"]
    assert run_chain.main([*words, *[word for one in more for word in ("--set", one)]]) == 0
    return where / "run"


def probs_at(run: Path, number: int, file: str, ids: Sequence[int]) -> np.ndarray:
    """(M, C) of these patches, as the belief of a round reads a file of scores."""
    scores = read_scores(run / f"rounds/{number:02d}" / file, "pool")
    rows = np.searchsorted(scores.ids, np.array(ids, np.uint64))
    return Belief.load(run / f"rounds/{number:02d}/select").of(Scores(scores.ids[rows], scores.log_probs[rows]))


def test_where_labels_are_propagated_people_are_asked_about_what_the_round_believed(
    propagating: Path, tmp_path: Path
) -> None:
    classes = load_splits(propagating / "data/splits").classes
    folder = export(Layout(propagating), 1, 12, tmp_path / "out")
    with (folder / "review.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shown = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
    ids = [int(row["id"], 16) for row in rows]
    believed = probs_at(propagating, 1, f"select/{BELIEVED}", ids)
    assert shown == pytest.approx(believed, abs=6e-4)
    assert [row["suggested"] for row in rows] == [classes[k] for k in believed.argmax(axis=1)]
    assert abs(shown - probs_at(propagating, 1, "predict/scores.h5", ids)).max() > 0.01, "the teacher said otherwise"


def test_the_first_asked_about_is_worth_most_by_that_belief(propagating: Path) -> None:
    ids = read_scores(propagating / "rounds/00/predict/scores.h5", "pool").ids

    def dearest(file: str) -> set[int]:
        most = np.sort(probs_at(propagating, 0, file, ids.tolist()), axis=1)
        value = worth(most[:, -1] - most[:, -2], np.zeros(len(ids), bool), np.zeros(len(ids), bool))
        return set(ids[value >= value.max() - 1e-6].tolist())

    first = choose(Run.open(Layout(propagating)), 0, 5, "informative", NOBODY)[0].id
    assert first in dearest(f"select/{BELIEVED}")
    assert first not in dearest("predict/scores.h5")
