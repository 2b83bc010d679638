"""Workers as processes: what dies, hangs or fails is one unit, and nothing outlives the orchestrator."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.errors import ChainError, ExitCode
from data.preparation import Unit
from pipeline.directory.prepared import PreparedLayout
from pipeline.prepare.pool import Begun, Failed, Made, Moved, Pool
from pipeline.prepare.session import Options, prepare
from tests.fake_preparation import FakePreparation, KeyedPreparation, committed, inputs

ROOT = Path(__file__).resolve().parents[3]

PATIENCE_S = 6.0  # also for the imports of a worker on a machine that does other things


def test_what_fails_in_any_way_is_one_unit_named_with_its_reason(tmp_path: Path) -> None:
    source = inputs(
        tmp_path / "in", a="ok 2", crash="crash 1", killed="killed 1", hang="hang 1", bug="bug 1", memory="memory 1",
        refused="refused", z="ok 3",
    )  # fmt: skip
    layout = PreparedLayout(tmp_path / "out")
    prepare(layout, FakePreparation(path=source, failure_limit=1.0), Options(2, PATIENCE_S))
    rows = {line.split(",")[1]: line for line in layout.table.read_text().splitlines()[1:]}
    assert [name for name, row in rows.items() if ",done," in row] == ["a", "z"]
    said = {
        "crash": "exit 3",
        "killed": "signal 9, SIGKILL",
        "hang": f"nothing was heard of it for {PATIENCE_S:g} s",
        "bug": "ZeroDivisionError",
        "memory": "out of memory",
        "refused": "it is damaged",
    }
    for name, words in said.items():
        assert ",failed," in rows[name]
        assert words in rows[name]
    logs = "".join(path.read_text() for path in layout.logs.glob("worker-*.log"))
    assert "Traceback" in logs
    assert "a library prints this" in logs


def test_writing_a_large_store_is_no_silence(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in", a="slow 2")
    layout = PreparedLayout(tmp_path / "out")
    prepare(layout, FakePreparation(path=source), Options(1, PATIENCE_S))
    assert layout.index.is_file()


def test_a_full_disk_ends_the_command_and_not_only_a_unit(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in", a="full 1", b="ok 1")
    with pytest.raises(ChainError) as caught:
        prepare(PreparedLayout(tmp_path / "out"), FakePreparation(path=source), Options(1))
    assert caught.value.code == ExitCode.IO


def test_the_result_is_the_same_whatever_the_number_of_workers(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in", **{f"s{i}": f"ok {i + 1}" for i in range(5)})
    for workers in (1, 3):
        prepare(PreparedLayout(tmp_path / str(workers)), FakePreparation(path=source), Options(workers))
    assert committed(tmp_path / "1") == committed(tmp_path / "3")


def test_cores_are_shared_among_the_workers_that_have_work(tmp_path: Path) -> None:
    source = inputs(tmp_path / "in", a="ok 1", b="ok 1", c="ok 1")
    preparation = FakePreparation(path=source)
    units = [unit for unit in preparation.units(b"") if isinstance(unit, Unit)]

    def orders():
        for unit in units:
            out = tmp_path / unit.name
            out.mkdir()
            yield unit, out

    with (tmp_path / "lock").open("w") as lock:
        pool = Pool(preparation, b"", tmp_path / "logs", lock.fileno(), 2, 8, 30.0)
        with pool:
            events = list(pool.make(orders(), 3))
    assert [type(event) for event in events].count(Begun) == 3
    assert [type(event) for event in events].count(Made) == 3
    assert {(event.done, event.total) for event in events if isinstance(event, Moved)} == {(1, 1)}
    threads = [int((tmp_path / unit.name / "threads").read_text()) for unit in units]
    assert threads[:2] == [4, 4]  # two work side by side
    assert threads[2] in (4, 8)  # the last one may be alone


def test_workers_that_do_not_start_are_said_once_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = inputs(tmp_path / "in", a="ok 1", b="ok 1")
    monkeypatch.setattr(FakePreparation, "__module__", "tests.no_such_module")
    with pytest.raises(ChainError) as caught:
        prepare(PreparedLayout(tmp_path / "out"), FakePreparation(path=source), Options(1))
    assert caught.value.code == ExitCode.INTERNAL
    assert "no_such_module" in (tmp_path / "out" / "logs" / "worker-0.log").read_text()


def test_logs_of_a_keyed_preparation_name_nobody(tmp_path: Path) -> None:
    source = inputs(tmp_path / "CANARY", CANARY="bug 1", other="ok 1")
    layout = PreparedLayout(tmp_path / "out")
    prepare(layout, KeyedPreparation(path=source, failure_limit=1.0), Options(1))
    text = "".join(path.read_text() for path in [*layout.logs.iterdir(), layout.ledger, layout.table, layout.overview])
    assert "ZeroDivisionError" in text
    assert "fake_preparation.py" in text  # where, and not what
    assert "CANARY" not in text
    assert not [failed for failed in text.splitlines() if isinstance(failed, Failed)]


def begin(source: Path, out: Path, pause_s: float = 0.05) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "tests.fake_preparation", str(source), str(out), str(pause_s), "2"]
    return subprocess.Popen(words, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)


def workers_of(out: Path) -> list[int]:
    """Processes that hold a file of this prepared directory open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [os.readlink(link) for link in (process / "fd").iterdir()]  # noqa: PTH115
        except OSError:
            continue
        if int(process.name) != os.getpid() and any(link.startswith(str(out)) for link in links):
            found.append(int(process.name))
    return found


def wait_for(what, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An input, and what it becomes when nothing strikes."""
    folder = tmp_path_factory.mktemp("plain")
    source = inputs(folder / "in", a="ok 2", b="ok 30", c="ok 31")
    finish(source, folder / "out")
    return source, committed(folder / "out")


def finish(source: Path, out: Path) -> None:
    prepare(PreparedLayout(out), FakePreparation(path=source, failure_limit=1.0), Options(2))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_struck_alone_the_orchestrator_leaves_no_worker_and_the_next_start_goes_on(
    tmp_path: Path, plain: tuple[Path, dict[str, str]], number: int, code: int
) -> None:
    (source, truth), out = plain, tmp_path / "out"
    process = begin(source, out)
    wait_for(lambda: (out / "units" / "a").exists())
    process.send_signal(number)
    assert process.wait(30) == code
    wait_for(lambda: not workers_of(out), 10)
    assert not (out / "prepared.json").exists()
    finish(source, out)
    assert committed(out) == truth


def test_two_starts_at_once_have_one_winner(tmp_path: Path) -> None:
    source, out = inputs(tmp_path / "in", a="ok 10", b="ok 10"), tmp_path / "out"
    codes = sorted(process.wait(60) for process in [begin(source, out) for _ in range(2)])
    assert codes == [0, 69]
    assert (out / "prepared.json").is_file()
