"""Progress: for people on the terminal and in the log, for `status` in a small file that is always whole."""

import json
import logging
from pathlib import Path

import pytest

from stages.process.progress import StageProgress


def test_status_reads_how_far_it_is(tmp_path: Path) -> None:
    with StageProgress("rounds/00/teacher", 10, "steps", tmp_path) as bar:
        for _ in range(4):
            bar.advance(1, "loss 0.5", items=64)
    found = json.loads((tmp_path / "progress.json").read_text())
    assert (found["done"], found["total"], found["unit"], found["note"]) == (4, 10, "steps", "loss 0.5")
    assert found["rate"].endswith("patches/s")
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_off_a_terminal_a_line_tells_rate_and_remaining_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO, "patchchain"), StageProgress("data/store", 0, "patches", None) as bar:
        bar.at(50, 200)
    assert "data/store: 50/200 patches" in caplog.text
    assert "s left" in caplog.text


def test_before_anything_is_done_no_remaining_time_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO, "patchchain"), StageProgress("prepare", 6, "volumes", None) as bar:
        bar.advance(0, "0 patches", items=0)
    assert "prepare: 0/6 volumes" in caplog.text
    assert "left" not in caplog.text


def test_a_resumed_stage_does_not_count_earlier_work_into_its_rate(tmp_path: Path) -> None:
    with StageProgress("x", 1_000_000, "patches", tmp_path, done=999_000) as bar:
        bar.advance(1)
    assert bar.done == 999_001
