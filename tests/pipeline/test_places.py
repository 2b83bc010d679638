"""Where a run directory lies, what it is called, and whether it may be written to."""

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import run_chain
from data.errors import ExitCode
from pipeline.directory.layout import Layout
from pipeline.verify import verify
from pipeline.views.status import status
from tests.fake_stages import CONFIG, FakeLauncher, committed, config_in, everything, session

NAMES = ["x" * 200, "ü" * 100, "ein Ordner mit Ümlauten ", " ", "-rf", "a;b $(c) 'd' \"e\"", "100%", "日本語", "..."]
VERBS = ["run CONFIG new", "run CONFIG empty", "run CONFIG done", "resume done", "rerun done --from final"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_run_may_have_any_name_and_be_moved_to_any_other(name: str, tmp_path: Path) -> None:
    config = config_in(tmp_path, CONFIG)
    session(tmp_path / "plain").run(config)
    session(tmp_path / name).run(config)
    assert committed(tmp_path / name) == committed(tmp_path / "plain")
    (tmp_path / "plain").rename(tmp_path / (other := f"{name[:100]}2"))
    launcher = FakeLauncher()
    session(tmp_path / other, launcher).resume()
    assert launcher.launched == []
    assert status(Layout(tmp_path / other))[-1].startswith("stopped: max_rounds")
    list(verify(Layout(tmp_path / other)))


def test_moved_while_it_was_unfinished_it_goes_on_with_its_work(tmp_path: Path) -> None:
    config = config_in(tmp_path, CONFIG)
    session(tmp_path / "plain").run(config)
    pid = os.fork()
    if not pid:  # dies in the middle of a training, its first half checkpointed
        dying = FakeLauncher(before=lambda job: os._exit(9) if job.kind == "train" else None)
        session(tmp_path / "run", dying).run(config)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    before = (tmp_path / "run" / ".staging" / "rounds-00-teacher" / "work" / "first.json").stat()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").rename(tmp_path / "elsewhere/moved")
    (tmp_path / "link").symlink_to("elsewhere/moved")
    seen = []
    launcher = FakeLauncher(before=lambda job: seen.append((job.work / "first.json").stat().st_ino))
    session(tmp_path / "link", launcher).resume()
    assert seen[0] == before.st_ino
    assert committed(tmp_path / "elsewhere/moved") == committed(tmp_path / "plain")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write to."""
    folder = tmp_path / "closed"
    (folder / "empty").mkdir(parents=True)
    session(folder / "done").run(config_in(tmp_path, CONFIG))
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)


def without_rights(do: Callable[[], int]) -> tuple[int, float]:
    """What `do` returns in a process to which permissions apply, root's too, and the processor seconds it took."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            libc, none = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 6)()
            header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # capset(2): no capability at all
            assert libc.capset(header, none) == 0, os.strerror(ctypes.get_errno())
            code = do()
        finally:
            os._exit(code)
    begun = time.monotonic()
    _, state, used = os.wait4(pid, 0)
    assert time.monotonic() - begun < 30
    return os.waitstatus_to_exitcode(state), used.ru_utime + used.ru_stime


@pytest.mark.parametrize("words", VERBS)
def test_what_may_not_be_written_is_refused_at_once_and_stays_as_it_is(
    words: str, closed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(closed)
    before = everything(closed)
    argv = words.replace("CONFIG", str(tmp_path / "config.yaml")).split()
    code, seconds = without_rights(lambda: run_chain.main(argv))
    said = capfd.readouterr().err.splitlines()
    assert code == ExitCode.NOT_WRITABLE, said
    assert len(said) == 3
    assert seconds < 2
    assert everything(closed) == before


def test_what_may_not_be_written_may_be_looked_at(closed: Path) -> None:
    assert without_rights(lambda: run_chain.main(["status", str(closed / "done")]))[0] == 0
    assert without_rights(lambda: run_chain.main(["verify", str(closed / "done")]))[0] == 0


@pytest.mark.parametrize("words", ["status run", "inspect run", "verify run", "plan CONFIG run", "run CONFIG run"])
def test_what_may_not_be_looked_into_is_three_lines(
    words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config_in(tmp_path, CONFIG)
    (tmp_path / "run").mkdir(0o000)
    argv = [{"run": str(tmp_path / "run"), "CONFIG": str(tmp_path / "config.yaml")}.get(w, w) for w in words.split()]
    code, _ = without_rights(lambda: run_chain.main([words.split()[0], *argv[1:]]))
    said = capfd.readouterr().err.splitlines()
    assert code == ExitCode.NOT_WRITABLE, said
    assert len(said) == 3
    assert "Permission denied" in said[0]
