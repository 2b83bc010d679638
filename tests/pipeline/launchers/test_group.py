"""How ranks are watched: what is said of one that fails, dies, or hangs, and that none is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import ChainError, ExitCode
from pipeline.launchers import group as groups
from pipeline.launchers.group import Group, python, started
from pipeline.launchers.rank import stacks_of
from stages.job import Hardware, Job
from stages.process.heartbeat import STOP
from stages.process.signals import Ended, watched

ROOT = Path(__file__).parents[3]


def job_in(where: Path, hang_timeout_s: float = 60, **section: Any) -> Job:
    folders = [where / name for name in ("out", "work", "log")]
    for folder in folders:
        folder.mkdir(parents=True)
    hardware = Hardware(device="cpu", devices=2, hang_timeout_s=hang_timeout_s)
    return Job("rounds/00/teacher", "train", 0, 0, {"steps": 4} | section, {}, *folders, hardware)


def launch(job: Job) -> str:
    group = Group(job, 2)
    words = [python(), str(ROOT / "tests" / "fake_agent.py"), "--nproc-per-node=2", *group.command]
    with (job.work / "lock").open("w") as lock:
        return group.run(lambda: started(words, lock.fileno(), job.log / "launcher.log", {}))


def left_of(job: Job) -> list[str]:
    """Command lines of living processes that belong to this job."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, state = (path / "cmdline").read_text(), (path / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(job.work) in words and state != "Z":
            found.append(words.replace("\0", " "))
    return found


def none_left(job: Job, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while left_of(job):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def refused(job: Job) -> tuple[ChainError, float]:
    begun = time.monotonic()
    with pytest.raises(ChainError) as caught:
        launch(job)
    return caught.value, time.monotonic() - begun


def test_the_first_rank_s_summary_comes_back_and_all_have_the_order(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    assert launch(job) == "rounds/00/teacher: 4 steps"
    assert '"world": 2' in (job.out / "model.json").read_text()
    assert none_left(job, 0)


def test_a_refusal_is_the_same_beyond_the_process(tmp_path: Path) -> None:
    error, _ = refused(job_in(tmp_path, what="refuse", who=1, at=1))
    assert error.lines() == ["error: the loss became nan", "  why: why", "  do:  what to do"]
    assert error.code == ExitCode.DIVERGED


@pytest.mark.parametrize("who", [0, 1])
def test_a_dead_rank_ends_the_stage_at_once_with_its_last_lines_first(
    who: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_in(tmp_path, what="die", who=who, at=2, steps=2000)
    error, took = refused(job)
    assert error.code == ExitCode.INTERNAL
    assert f"rank {who} died" in error.what
    assert f"rank {who}: the last thing it said" in caplog.messages
    assert took < 30
    assert none_left(job, 0)


def test_a_bug_is_told_with_its_traceback(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    error, _ = refused(job_in(tmp_path, what="break", who=1, at=2, steps=2000))
    assert error.code == ExitCode.INTERNAL
    assert "ZeroDivisionError: ours" in error.what
    assert any(line.startswith("rank 1: ") and "ZeroDivisionError" in line for line in caplog.messages)


@pytest.mark.parametrize(("what", "told"), [("stop", "its process stands still"), ("spin", "it hangs")])
def test_a_hung_rank_is_named_its_stacks_are_written_and_the_group_is_ended(
    what: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "STILL_S", 2.5)
    job = job_in(tmp_path, hang_timeout_s=4, what=what, who=1, at=30, steps=2000)
    error, took = refused(job)
    assert error.code == ExitCode.HUNG
    assert "rank 1 is silent" in error.what
    assert told in error.why
    assert took < 4 + 30
    assert "misbehave" in stacks_of(job.log, 1).read_text()
    assert none_left(job, 0)


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize(("what", "code"), [("term", ExitCode.PREEMPTED), ("interrupt", ExitCode.INTERRUPTED)])
def test_a_signal_to_one_rank_ends_all_with_what_was_saved(tmp_path: Path, what: str, code: int, who: int) -> None:
    job = job_in(tmp_path, what=what, who=who, at=2, steps=2000)
    with pytest.raises(Ended) as caught:
        launch(job)
    assert caught.value.code == code
    assert caught.value.saved.startswith("saved at step")
    assert none_left(job, 0)


@pytest.mark.parametrize("who", [0, 1])
def test_where_a_signal_ends_one_rank_at_once_the_loss_of_it_is_no_failure_of_the_others(
    tmp_path: Path, who: int
) -> None:
    job = job_in(tmp_path, what="leave", who=who, at=2, steps=2000)
    with pytest.raises(Ended) as caught:
        launch(job)
    assert caught.value.code == ExitCode.PREEMPTED
    assert none_left(job, 0)


@pytest.mark.parametrize(("word", "code"), [("SIGTERM", ExitCode.PREEMPTED), ("SIGINT", ExitCode.INTERRUPTED)])
def test_a_signal_that_came_before_the_ranks_had_started_ends_them_all_the_same(
    tmp_path: Path, word: str, code: int
) -> None:
    job = job_in(tmp_path, steps=2000)
    group = Group(job, 2)
    group.ask(STOP, word)
    words = [python(), str(ROOT / "tests" / "fake_agent.py"), "--nproc-per-node=2", *group.command]
    with (job.work / "lock").open("w") as lock, pytest.raises(Ended) as caught:
        group.run(lambda: started(words, lock.fileno(), job.log / "launcher.log", {}))
    assert caught.value.code == code
    assert none_left(job, 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGUSR1, 75)])
def test_a_signal_to_the_orchestrator_reaches_all_ranks(number: int, code: int, tmp_path: Path) -> None:
    job = job_in(tmp_path, steps=2000)
    timer = threading.Timer(2.0, lambda: os.kill(os.getpid(), number))
    with watched():
        timer.start()
        with pytest.raises(Ended) as caught:
            launch(job)
    assert (caught.value.code, caught.value.saved[:13]) == (code, "saved at step")
    assert none_left(job, 0)


ORCHESTRATE = """
import sys
from pathlib import Path
from tests.pipeline.launchers.test_group import launch
from stages.job import Job
launch(Job.load(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("victim", ["orchestrator", "agent"])
def test_no_kill_leaves_a_process_behind_and_an_orphan_keeps_the_lock(victim: str, tmp_path: Path) -> None:
    job = job_in(tmp_path, steps=2000)
    job.save(tmp_path / "job.json")
    words = [sys.executable, "-c", ORCHESTRATE, str(tmp_path / "job.json")]
    parent = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(list((job.work / "ranks").glob("beat-*"))) == 2)
        ranks = [int(path.read_text().split()[0]) for path in (job.work / "ranks").glob("beat-*")]
        locked = {Path(f"/proc/{pid}/fd/0").resolve() for pid in ranks}
        assert locked == {(job.work / "lock").resolve()}
        agent = int(Path(f"/proc/{ranks[0]}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent.pid if victim == "orchestrator" else agent, signal.SIGKILL)
        parent.wait(30)
        assert none_left(job, 10)
    finally:
        parent.kill()


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)
