"""`prepare`, struck at the program's own fault points in every way, goes on and ends with the same bytes.

Units are made in this process by the fake preparation, whose stores and records are real ones; that a worker which
ends in any way fails its unit and no other is tested in test_pool.py.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from data import fault
from data.errors import ChainError
from pipeline.directory import ledger
from pipeline.directory.prepared import PreparedLayout
from pipeline.fault_points import fault_points
from pipeline.prepare import session
from pipeline.prepare.session import Options, prepare
from stages.process.signals import Ended, watched
from tests.fake_preparation import FakePreparation, ImmediatePool, committed, inputs
from tests.small_process import in_small_process

STRUCK = {"kill": {-9}, "torn": {-9}, "term": {75}, "exc": {1}, "enospc": {74, 1, 0}, "eio": {74, 1, 0}, "oom": {1}}


def forked(do: Callable[[], object], armed: str) -> int:
    """The exit code of `do` in a process with that fault; 1 for an error that the command line would explain."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        fault.arm(armed)
        with watched():
            do()
        code = 0
    except ChainError as error:
        code = int(error.code)
    except Ended as ended:
        code = int(ended.code)
    except Exception:  # noqa: BLE001 what it is, is tested in test_pool.py
        code = 1
    finally:
        os._exit(code)


def test_struck_at_every_point_in_every_way_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    count, passed = in_small_process(sweep, str(tmp_path))
    assert count > 80
    assert {"file.written", "store.mid_write", "seal.synced", "lock.taken", "ledger.append"} <= set(passed)


def sweep(folder: str) -> tuple[int, list[str]]:
    """Strike, go on, compare. Returns the number of strikes, and the names of the points passed."""
    tmp_path = Path(folder)
    session.Pool = ImmediatePool  # type: ignore[assignment, misc]
    ledger.versions = lambda: {}
    source, plain, struck = inputs(tmp_path / "in", a="ok 1", b="bad 2"), tmp_path / "plain", tmp_path / "struck"

    def run(root: Path) -> None:
        prepare(PreparedLayout(root), FakePreparation(path=source, quarantine_limit=0.9), Options(1))

    fault.arm(fault.COUNT)
    run(plain)
    passed = dict(fault.seen)
    fault.arm(None)
    truth, count = committed(plain), 0
    for point in fault_points():
        for kind in point.kinds if point.name in passed else ():
            if kind not in STRUCK:
                continue
            for nth in {1, passed[point.name]} if kind in ("kill", "torn") else {1 + passed[point.name] // 2}:
                shutil.rmtree(struck, ignore_errors=True)
                text = f"{point.name}@{nth}@{kind}"
                code = forked(lambda: run(struck), text)
                assert code in STRUCK[kind], (text, code)
                run(struck)
                assert committed(struck) == truth, text
                assert not list((struck / ".staging").iterdir()), text
                assert not [path for path in struck.rglob("*.part") if ".trash" not in path.parts], text
                count += 1
    return count, list(passed)
