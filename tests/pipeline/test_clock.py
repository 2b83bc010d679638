"""Nothing is ordered by time: clocks that run backwards and files from other years change no byte and no decision."""

import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest

from data.errors import ChainError, ExitCode
from pipeline.directory import ledger
from pipeline.directory.layout import Layout
from pipeline.verify import verify
from stages.job import Job
from tests.fake_stages import CONFIG, FakeLauncher, committed, config_in, session

YEAR_S = 365 * 24 * 3600


def story(root: Path) -> list[dict[str, Any]]:
    """The ledger without its times."""
    return [{k: v for k, v in event.items() if k not in ("time", "seconds")} for event in ledger.events(root)]


def backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on each look at the wall clock is an hour before the one before."""
    began, looks = time.time(), itertools.count()
    past = lambda: began - 3600 * next(looks)  # noqa: E731
    monkeypatch.setattr(time, "time", past)
    shown = time.strftime
    monkeypatch.setattr(time, "strftime", lambda form, at=None: shown(form, at or time.localtime(past())))


def shifted(root: Path) -> None:
    """Every file a year older or younger, in no order."""
    for number, path in enumerate(sorted(root.rglob("*"))):
        about = path.lstat()
        shift = YEAR_S * (-1) ** number * (1 + number % 3)
        os.utime(path, (about.st_atime + shift, about.st_mtime + shift), follow_symlinks=False)


@pytest.mark.parametrize("kind", ["ingest", "train", "predict", "select", "promote"])
def test_clocks_that_run_backwards_and_files_of_other_years_change_nothing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_in(tmp_path, CONFIG)

    def stopped(root: Path) -> None:
        def fail(job: Job) -> None:
            if job.kind == kind:
                raise ChainError("no", "no", "no", ExitCode.IO)

        with pytest.raises(ChainError):
            session(root, FakeLauncher(before=fail)).run(config)

    stopped(tmp_path / "plain")
    session(tmp_path / "plain").resume()
    stopped(tmp_path / "run")
    backwards(monkeypatch)
    shifted(tmp_path / "run")
    launcher = FakeLauncher()
    session(tmp_path / "run", launcher).resume()
    assert len(launcher.launched) == len(set(launcher.launched))
    assert committed(tmp_path / "run") == committed(tmp_path / "plain")
    assert story(tmp_path / "run/ledger.jsonl") == story(tmp_path / "plain/ledger.jsonl")
    assert all(seconds >= 0 for seconds in ledger.seconds(tmp_path / "run/ledger.jsonl").values())
    shifted(tmp_path / "run")
    list(verify(Layout(tmp_path / "run")))
