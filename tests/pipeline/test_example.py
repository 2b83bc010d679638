"""The example is whole or absent, goes on after a kill, and overwrites nothing."""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import run_chain
from data.errors import ExitCode
from data.synthetic.cohort import Cohort, draw_slide
from pipeline.example import ABOUT

ROOT = Path(run_chain.__file__).parent
CT = ["example", "ct", "--patients", "2"]


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def alive_in(group: int) -> list[str]:
    """Processes of a process group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent, of = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and state != "Z":
                found.append(stat.parent.name)
    return found


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("example") / "ct"
    assert run_chain.main([*CT, str(directory)]) == 0
    return directory


def test_a_finished_example_holds_what_it_says_and_nothing_else(scans: Path) -> None:
    assert {path.name for path in scans.iterdir()} == {"scans", "candidates.csv", ABOUT}
    assert [path.name for path in scans.parent.iterdir()] == ["ct"]


def test_the_same_command_again_changes_nothing(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(scans)
    assert run_chain.main([*CT, str(scans)]) == 0
    assert "there already" in capsys.readouterr().out
    assert contents(scans) == before


def test_other_settings_and_foreign_directories_are_refused(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(scans)
    (tmp_path / "mine.txt").write_text("mine")
    for words in (["example", "ct", "--patients", "3", str(scans)], ["example", "slides", str(tmp_path)]):
        assert run_chain.main(words) == ExitCode.MISMATCH
        shown = capsys.readouterr().err.splitlines()
        assert len(shown) == 3
        assert "is not empty" in shown[0]
    assert contents(scans) == before
    assert contents(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.parametrize("name", [".", "link"])
def test_what_no_directory_can_be_put_in_place_of_is_refused_before_anything_is_drawn(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    monkeypatch.chdir(tmp_path if name == "link" else tmp_path / "empty")
    assert run_chain.main([*CT, name]) == ExitCode.USAGE
    assert f"{name} cannot be made" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "link"]


def test_what_another_example_left_unfinished_is_removed(scans: Path, tmp_path: Path) -> None:
    left = tmp_path / ".ct.part"
    draw_slide(left, Cohort(patients=1, side_px=256, mpp=4.0), 0)
    assert run_chain.main([*CT, str(tmp_path / "ct")]) == 0
    assert contents(tmp_path / "ct") == contents(scans)


def killed_while_drawing(words: list[str], where: Path) -> "subprocess.Popen[bytes]":
    """The parent alone is killed. On a machine that is busy a start may end before it is looked at: then another."""
    rows = where / ".ct.part" / "scans"
    for _ in range(5):
        process = subprocess.Popen(words, start_new_session=True)
        while process.poll() is None and not (rows.is_dir() and any(rows.rglob("*.dcm"))):  # it is drawing by then
            time.sleep(0.01)
        process.kill()
        if process.wait() == -signal.SIGKILL:
            return process
        shutil.rmtree(where / "ct")
    raise AssertionError("it always ended too soon")


@pytest.mark.slow
def test_killed_and_started_again_it_ends_with_the_same_bytes_and_leaves_no_process(
    scans: Path, tmp_path: Path
) -> None:
    words = [sys.executable, str(ROOT / "run_chain.py"), *CT, str(tmp_path / "ct")]
    process = killed_while_drawing(words, tmp_path)
    until = time.monotonic() + 10
    while alive_in(process.pid):
        assert time.monotonic() < until, "a child outlives its parent"
        time.sleep(0.05)
    assert not (tmp_path / "ct").exists()
    assert subprocess.run(words, check=False).returncode == 0
    assert contents(tmp_path / "ct") == contents(scans)
