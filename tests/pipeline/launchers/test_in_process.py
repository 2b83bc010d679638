import contextlib
import errno
import gc
import logging
import os
import sys
import types
import weakref
from pathlib import Path

import pytest

from data.errors import ChainError, ExitCode
from pipeline.launchers.in_process import InProcess
from pipeline.screen import log_to_screen
from stages.job import Job
from stages.registry import KINDS


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own, which nothing here imports."""


FAILURES = {
    "a bug": (ZeroDivisionError("x"), ExitCode.INTERNAL),
    "a library's exit": (SystemExit(1), ExitCode.INTERNAL),
    "no memory": (MemoryError(), ExitCode.OUT_OF_MEMORY),
    "no memory on the device": (OutOfMemoryError("CUDA"), ExitCode.OUT_OF_MEMORY),
    "disk full": (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x"), ExitCode.IO),
    "disk failing": (OSError(errno.EIO, os.strerror(errno.EIO), "x"), ExitCode.IO),
    "read-only": (OSError(errno.EROFS, os.strerror(errno.EROFS), "x"), ExitCode.NOT_WRITABLE),
    "forbidden": (PermissionError(errno.EACCES, "denied", "x"), ExitCode.NOT_WRITABLE),
    "a refusal": (ChainError("what", "why", "todo", ExitCode.DIVERGED), ExitCode.DIVERGED),
}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folders = [tmp_path / name for name in ("out", "work", "log")]
    return Job("data/store", "ingest", 0, 0, {}, {}, *folders)


def stage(monkeypatch: pytest.MonkeyPatch, outcome: BaseException | str) -> None:
    def run(job: Job) -> str:
        logging.getLogger("patchchain").info("a line for people")
        logging.getLogger("some.library").info("a line of a library")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    module = types.ModuleType(KINDS["ingest"].module)
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, KINDS["ingest"].module, module)


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_is_a_refusal_and_only_bugs_leave_a_traceback_in_the_log(
    name: str, job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raised, code = FAILURES[name]
    stage(monkeypatch, raised)
    with pytest.raises(ChainError) as caught:
        InProcess().launch(job, -1)
    log = (job.log / "stage.log").read_text()
    assert caught.value.code == code
    assert ("Traceback" in log) == (name == "a bug")
    assert code != ExitCode.INTERNAL or str(job.log / "stage.log") in caught.value.todo
    assert capsys.readouterr().out == ""


def test_the_log_is_appended_to_and_left_in_order(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(logging.getLogger().handlers), logging.getLogger().level
    stage(monkeypatch, "done")
    assert InProcess().launch(job, -1) == "done"
    InProcess().launch(job, -1)
    log = (job.log / "stage.log").read_text()
    assert log.count("a line for people") == 2
    assert log.count("a line of a library") == 2
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before


def test_no_garbage_is_looked_for_while_a_stage_is_imported(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a_stage_to_import.py").write_text(
        "import gc\nwhile_imported = gc.isenabled()\ndef run(job):\n    return f'{while_imported} {gc.isenabled()}'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(KINDS, "ingest", KINDS["ingest"]._replace(module="a_stage_to_import"))
    assert InProcess().launch(job, -1) == "False True"


def test_a_log_that_finds_no_room_ends_nothing_and_shows_no_traceback(
    job: Job, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    stage(monkeypatch, "done")
    log_to_screen(quiet=True)
    job.log.mkdir(parents=True, exist_ok=True)
    (job.log / "stage.log").symlink_to("/dev/full")
    assert InProcess().launch(job, -1) == "done"
    assert "Traceback" not in capfd.readouterr().err


class Trainer:
    """Holds itself, as Lightning's and what it trains hold each other."""

    def __init__(self) -> None:
        self.trained = self


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_stage_made_is_gone_after_it(fails: bool, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Trainer]] = []

    def run(job: Job) -> str:
        made.append(weakref.ref(Trainer()))
        if fails:
            raise ChainError("what", "why", "todo", ExitCode.DIVERGED)
        return "done"

    stage(monkeypatch, "done")
    monkeypatch.setattr(sys.modules[KINDS["ingest"].module], "run", run)
    gc.disable()  # Python might look by chance
    try:
        with contextlib.suppress(ChainError):
            InProcess().launch(job, -1)
        assert made[0]() is None
    finally:
        gc.enable()
    assert gc.get_freeze_count() == 0
