"""One writer per run directory: a loser writes nothing, and who lost the lock in his sleep commits nothing."""

import os
import signal
import statistics
import struct
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import run_chain
from data.errors import ChainError, ExitCode
from data.files import atomic
from pipeline.directory import ledger
from stages.job import Job
from tests.fake_stages import FakeLauncher, committed, config_in, everything, session
from tests.small_process import in_small_process

STARTS = 50


def child(do: Callable[[], object]) -> int:
    """A forked process that ends with the code of its refusal, or 0."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        atomic.guards.clear()
        do()
        code = 0
    except ChainError as error:
        code = int(error.code)
    except BaseException:  # noqa: BLE001 the child must end here, whatever happened
        traceback.print_exc()
    finally:
        os._exit(code)


def code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def watched_writes(path: Path) -> None:
    """Append to `path` what this process opens for writing, renames, makes or removes from now on."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hook(event: str, args: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"):
            os.write(log, f"{event} {Path(str(args[0])).name}\n".encode())

    sys.addaudithook(hook)


def test_of_fifty_double_starts_each_has_one_winner_and_a_loser_that_writes_nothing(tmp_path: Path) -> None:
    assert in_small_process(double_starts, str(tmp_path)) < 1


def double_starts(folder: str) -> float:
    """The seconds after which the loser of a double start was refused: the median of fifty."""
    tmp_path = Path(folder)
    config = config_in(tmp_path, "rounds: 0\ndata: {size_px: 24, sources: [{kind: synthetic}]}\nselect: {rule: top_k}")
    session(tmp_path / "plain").run(config)
    truth = committed(tmp_path / "plain")
    refused_after_s = []
    for number in range(STARTS):
        root, go, lost = tmp_path / f"run-{number}", os.pipe(), os.pipe()
        root.mkdir()

        def hold(job: Job, lost: tuple[int, int] = lost) -> None:
            if job.kind == "ingest":
                os.read(lost[0], 1)  # until the other one has been refused

        def start(root: Path = root, go: tuple[int, int] = go, lost: tuple[int, int] = lost) -> None:
            os.read(go[0], 1)
            watched_writes(root.with_suffix(f".{os.getpid()}"))
            started = time.monotonic()
            try:
                session(root, FakeLauncher(before=hold)).run(config)
            except ChainError:
                os.write(lost[1], b"l" + struct.pack("d", time.monotonic() - started))
                raise

        children = [child(start), child(start)]
        os.write(go[1], b"xx")
        codes = {pid: code_of(pid) for pid in children}
        refused_after_s += struct.unpack("d", os.read(lost[0], 8))
        for descriptor in (*go, *lost):
            os.close(descriptor)
        assert sorted(codes.values()) == [0, ExitCode.IN_USE]
        loser = next(pid for pid, code in codes.items() if code)
        assert set(root.with_suffix(f".{loser}").read_text().split("\n")) <= {
            "open chain.lock",
            f"os.mkdir {root.name}",
            "",
        }
        assert committed(root) == truth
        assert [event["event"] for event in ledger.events(root / "ledger.jsonl")].count("start") == 1
    return statistics.median(refused_after_s)


def stopped_at(kind: str, root: Path, config: object) -> int:
    """A process that runs the chain and is stopped, as by a scheduler, in the middle of a stage."""

    def stop(job: Job) -> None:
        if job.kind == kind:
            os.kill(os.getpid(), signal.SIGSTOP)

    pid = child(lambda: session(root, FakeLauncher(before=stop)).run(config))  # type: ignore[arg-type]
    assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
    return pid


@pytest.mark.parametrize("kind", ["ingest", "train", "promote"])
def test_a_stopped_owner_that_wakes_after_a_takeover_commits_nothing(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root, config = tmp_path / "run", config_in(tmp_path)
    session(tmp_path / "plain").run(config)
    sleeper = stopped_at(kind, root, config)
    with pytest.raises(ChainError, match="in use"):
        session(root).run(config)
    assert run_chain.main(["unlock", str(root)]) == ExitCode.IN_USE
    assert run_chain.main(["unlock", str(root), "--force"]) == 0
    assert f"pid {sleeper}" in capsys.readouterr().out
    session(root).run(config)
    after = everything(root)
    os.kill(sleeper, signal.SIGCONT)
    assert code_of(sleeper) == ExitCode.IN_USE
    assert everything(root) == after
    assert committed(root) == committed(tmp_path / "plain")


def test_unlock_without_force_frees_only_what_a_dead_process_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, config = tmp_path / "run", config_in(tmp_path)

    def die(job: Job) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    pid = child(lambda: session(root, FakeLauncher(before=die)).run(config))
    assert code_of(pid) == -signal.SIGKILL
    assert run_chain.main(["unlock", str(root)]) == 0
    assert f"pid {pid}" in capsys.readouterr().out
    assert run_chain.main(["unlock", str(root)]) == 0
    assert "nobody holds the lock" in capsys.readouterr().out
    assert run_chain.main(["unlock", str(tmp_path / "nowhere")]) == ExitCode.MISSING
    other = tmp_path / "crossval"  # which refuses to go on where a lock lies beside its runs
    other.mkdir()
    assert run_chain.main(["unlock", str(other)]) == ExitCode.MISSING
    assert not list(other.iterdir())
