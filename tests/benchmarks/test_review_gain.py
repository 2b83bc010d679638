"""What labelling gains: a copy counts when its chain was made again to its end, and is never made twice."""

import json
from pathlib import Path

import pytest

from benchmarks import review_gain


def metrics(run: Path, value: float) -> None:
    (run / "final").mkdir(parents=True, exist_ok=True)
    (run / "final/metrics.json").write_text(json.dumps({"test": {"accuracy": value}}))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the program was asked for. It suffices: the verbs have their own tests."""
    asked: list[list[str]] = []

    def chain(*words: object, threads: int = 0, quiet: bool = True) -> None:
        asked.append([str(word) for word in words])
        if words[:2] == ("review", "import"):
            (Path(str(words[2])) / "reviews/0000").mkdir(parents=True)
            (Path(str(words[2])) / "reviews/0000/review.json").write_text(json.dumps({"agreed": 7}))
        if words[0] == "rerun":
            metrics(Path(str(words[1])), 0.75)

    monkeypatch.setattr(review_gain, "chain", chain)
    monkeypatch.setattr(review_gain, "label_by_truth", lambda run, sheet: None)
    return asked


def test_an_interrupted_copy_is_not_taken_for_a_finished_one(tmp_path: Path, commands: list[list[str]]) -> None:
    base, run = tmp_path / "base", tmp_path / "copy"
    metrics(base, 0.5)
    metrics(run, 0.5)  # the model from before: the review was imported, and then the machine went down
    (run / "reviews/0000").mkdir(parents=True)
    found = review_gain.reviewed(base, run, "random", 0, 100, "rounds/00/teacher", 1)
    assert found == {"accuracy": 0.75, "agreed": 7}
    assert [words[:2] for words in commands] == [["review", "export"], ["review", "import"], ["rerun", str(run)]]
    assert commands[2][2:] == ["--from", "rounds/00/teacher"]
    assert commands[0][2:8] == [str(run), "--round", "0", "--n", "100", "--pick"]
    again = review_gain.reviewed(base, run, "random", 0, 100, "rounds/00/teacher", 1)
    assert (again, len(commands)) == (found, 3)
    assert review_gain.accuracy(base) == 0.5, "the chain it was copied from stays as it was"
