"""Training beside the bare model: both sides run, and what is printed is what was measured."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import throughput
from benchmarks.store import drawn_store
from benchmarks.throughput import Spent, Stopwatch, compared, parsed, print_batches, settings, spread
from data.images import Images


def test_every_split_of_threads_and_workers_is_a_row() -> None:
    words = ["--threads", "1", "2", "--workers", "0", "1", "--backbones", "resnet10t", "--work", "student", "teacher"]
    found = settings(parsed(words))
    assert len(found) == 8
    assert {(one.hardware.threads, one.hardware.workers) for one in found} == {(1, 0), (1, 1), (2, 0), (2, 1)}
    assert {one.section.batch_size for one in found} == {16, 64}, "of a student's 64 patches a quarter is labelled"


def test_the_clock_counts_its_steps_and_a_share_of_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(throughput.time, "process_time", lambda: 0)
    watch = Stopwatch(steps=3, cuda=False)
    for _ in range(throughput.WARM + 3):
        watch.step()
    assert watch.spent() == Spent(10, 0)
    watch.mark()
    assert watch.spent(0.5) == Spent(15, 0)


def test_the_middle_and_the_quartiles() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == "3 (2-4)"


@pytest.mark.parametrize("work", throughput.WORKS)
def test_both_sides_run(tmp_path: Path, work: str) -> None:
    words = ["--backbones", "test_resnet", "--batch-size", "8", "--steps", "1", "--threads", "1", "--work", work]
    images = Images(drawn_store(tmp_path / "patches.h5", 100, 24, jpeg=True))
    row = compared(settings(parsed(words))[0], images, repeats=2)
    assert row.startswith(f"| {work} | test_resnet | 1+0 |")


def test_a_plain_loop_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    words = ["--backbones", "test_resnet", "--batch-size", "8", "--steps", "1", "--threads", "1", "--work", "student"]
    images = Images(drawn_store(tmp_path / "patches.h5", 100, 24, jpeg=True))
    cells = compared(settings(parsed(words))[0], images, repeats=2, plain_too=True).strip("| ").split(" | ")
    assert len(cells) == 9
    assert float(cells[8]) > 0


def test_a_batch_is_timed_by_one_thread_and_by_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--backbones", "test_resnet", "--batch-size", "8", "--steps", "2", "--threads", "2", "--work", "student"]
    images = Images(drawn_store(tmp_path / "patches.h5", 100, 24, jpeg=True))
    print_batches(settings(parsed(words))[0], images, repeats=2)
    one, several = capsys.readouterr().out.splitlines()
    assert one.startswith("student, 8 patches of 24 px, one thread: ")
    assert several.startswith("student, 8 patches of 24 px, 2 threads: ")


def test_what_takes_longer_is_listed_and_all_the_rest_is_one_row() -> None:
    """In a process of its own: a profiler stays in memory."""
    words = ["--backbones", "test_resnet", "--batch-size", "8", "--size-px", "24", "--patches", "100", "--steps", "1"]
    words += ["--threads", "1", "--work", "student", "--repeats", "1", "--operations"]
    command = [sys.executable, "-m", "benchmarks.throughput", *words]
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    lines = [line for line in said.splitlines() if line.startswith("| ")][1:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    more = [float(row[3]) for row in rows[:-1]]
    assert more == sorted(more, reverse=True)
    assert all(abs(value) >= 0.2 for value in more)
    assert any("enumerate(DataLoader)" in row[0] for row in rows), "a batch that lies ready costs nothing"
    assert rows[-1][0] == "everything else"
