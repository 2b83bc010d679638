import errno
import fcntl
import json
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from data.errors import ChainError, ExitCode
from pipeline.directory import ledger
from pipeline.directory.layout import Layout
from pipeline.directory.lock import held, holder
from pipeline.directory.reviews import settled
from tests.small_process import in_small_process


def as_child(do: object) -> int:
    """Run `do()` in a forked process; 0, or the exit code of its ChainError."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        do()  # type: ignore[operator]
        code = 0
    except ChainError as error:
        code = int(error.code)
    finally:
        os._exit(code)


def take(path: Path) -> None:
    with held(path, "run"):
        pass


def test_the_second_is_refused_by_name_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "chain.lock"
    with held(path, "run"):
        before = path.read_bytes()
        assert as_child(lambda: take(path)) == ExitCode.IN_USE
        with pytest.raises(ChainError, match="in use") as caught:
            take(path)
        assert f"pid {os.getpid()}" in caught.value.why
        assert path.read_bytes() == before
    assert path.read_bytes() == b""
    assert as_child(lambda: take(path)) == 0


def test_a_dead_holder_is_taken_over_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "chain.lock"
    child = os.fork()
    if not child:
        with held(path, "resume"):
            os._exit(0)  # as after kill -9: nothing is cleaned up
    os.waitpid(child, 0)
    assert holder(path) is not None
    with caplog.at_level("INFO"), held(path, "run"):
        assert f"the previous resume (pid {child}) died; taking over" in caplog.text


def test_an_orphan_of_the_holder_keeps_the_run_locked(tmp_path: Path) -> None:
    path = tmp_path / "chain.lock"
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with held(path, "run"):
            if os.fork():
                os._exit(0)  # the holder dies; its child has inherited the descriptor
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0)
    os.waitpid(child, 0)
    os.read(ready[0], 1)
    with pytest.raises(ChainError) as caught:
        take(path)
    assert caught.value.code == ExitCode.IN_USE
    assert "a process it started still runs" in caught.value.why
    os.write(go[1], b"x")


def test_a_holder_on_another_host_is_never_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "chain.lock"
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": "1990-01-01 00:00:00", "verb": "run"}))
    before = path.read_bytes()
    with pytest.raises(ChainError) as caught:
        take(path)
    assert caught.value.code == ExitCode.IN_USE
    assert path.read_bytes() == before


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_nothing_is_run(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ChainError) as caught:
        take(tmp_path / "chain.lock")
    assert caught.value.code == ExitCode.NOT_WRITABLE


def double_starts(tmp_path: str) -> list[str]:
    """What four processes at a time came to, in the order in which they said it: w, won; l, lost."""
    path, outcomes = Path(tmp_path, "chain.lock"), []
    for _ in range(20):
        start, hold = os.pipe(), os.pipe()
        results = os.pipe()
        children = []
        for _ in range(4):
            child = os.fork()
            if not child:
                os.read(start[0], 1)
                try:
                    with held(path, "run"):
                        os.write(results[1], b"w")
                        os.read(hold[0], 1)  # holds until all four have tried
                except ChainError:
                    os.write(results[1], b"l")
                os._exit(0)
            children.append(child)
        os.write(start[1], b"xxxx")
        outcome = b"".join(os.read(results[0], 1) for _ in range(4))
        os.write(hold[1], b"x")
        for child in children:
            os.waitpid(child, 0)
        for descriptor in (*start, *hold, *results):
            os.close(descriptor)
        outcomes.append(outcome.decode())
    return outcomes


def test_a_double_start_has_one_winner(tmp_path: Path) -> None:
    outcomes = in_small_process(double_starts, str(tmp_path))
    assert [sorted(outcome) for outcome in outcomes] == [sorted("wlll")] * 20


def test_a_link_under_the_lock_s_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "chain.lock").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match=r"loop|symbolic"):
        take(tmp_path / "chain.lock")
    assert not (tmp_path / "other").exists()


def test_patience_waits_for_children_that_follow_their_dead_parent(tmp_path: Path) -> None:
    path = tmp_path / "chain.lock"
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    os.waitpid(dead, 0)
    path.write_text(json.dumps({"pid": dead, "host": os.uname().nodename, "since": "then", "verb": "prepare"}))
    with path.open("r+b") as orphan:
        fcntl.flock(orphan, fcntl.LOCK_EX)
        with pytest.raises(ChainError, match="in use") as caught:
            take(path)
        assert "a process it started still runs" in caught.value.why
        threading.Timer(0.3, orphan.close).start()
        with held(path, "prepare", patience_s=30):
            assert holder(path) is not None


def test_patience_is_for_orphans_only(tmp_path: Path) -> None:
    path = tmp_path / "chain.lock"
    begun = time.monotonic()
    with held(path, "run"), pytest.raises(ChainError, match="in use"), held(path, "prepare", patience_s=30):
        pass
    assert time.monotonic() - begun < 10


def test_who_may_write_to_the_directory_may_go_on_with_it(tmp_path: Path) -> None:
    """A group that shares a run: what all of them write to has the mode that the umask gives, like the rest of it."""
    layout, before = Layout(tmp_path), os.umask(0o002)
    try:
        with held(layout.lock, "run"), settled(layout):
            ledger.append(layout.ledger, "start")
    finally:
        os.umask(before)
    for path in (layout.lock, layout.reviews_lock, layout.ledger):
        assert stat.S_IMODE(path.stat().st_mode) == 0o664, path
