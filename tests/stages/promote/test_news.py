"""A chain in which people have labelled patches since is not at its end: there is more to learn."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.job import Job
from stages.measures.judged import Judged, write_judged
from stages.promote.stage import run


def model(directory: Path, right: int) -> Path:
    """A finished model that is right on so many of 100 validation patches."""
    directory.mkdir()
    label = np.arange(100) % 2
    said = np.where(np.arange(100) < right, label, 1 - label)
    log_probs = np.log(np.where(np.arange(2) == said[:, None], 0.9, 0.1)).astype(np.float32)
    write_judged(directory, Judged(np.arange(100, dtype=np.uint64), log_probs, label.astype(np.int16), np.arange(100)))
    (directory / "model.json").write_text("{}")
    (directory / "metrics.json").write_text('{"validation": {}}')
    save_file({"who": np.frombuffer(directory.name.encode(), np.uint8)}, directory / "model.safetensors")
    return directory


@pytest.mark.parametrize("news", [False, True])
def test_a_teacher_that_wins_ends_the_chain_unless_there_is_something_new_to_teach(tmp_path: Path, news: bool) -> None:
    inputs = {"teacher": model(tmp_path / "teacher", 95), "student": model(tmp_path / "student", 60)}
    inputs |= {"review_0000": tmp_path / "reviews"} if news else {}
    out = tmp_path / "out"
    out.mkdir()
    run(Job("rounds/01/teacher", "promote", 1, 0, {}, inputs, out, tmp_path, tmp_path))
    decision = json.loads((out / "promotion.json").read_text())
    assert decision["winner"] == "teacher"
    assert load_file(out / "model.safetensors")["who"].tobytes() == b"teacher"
    assert (out / "stop.json").exists() is not news
    assert ("the chain goes on" in decision["reason"]) is news
