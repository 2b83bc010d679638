"""The set that needs no data: whole or drawn again, the same wherever it is drawn."""

import csv
from pathlib import Path

import pytest

from benchmarks.label_efficiency import drawn as module
from benchmarks.label_efficiency.drawn import DRAWN, drawn
from benchmarks.label_efficiency.listing import source_of
from data.readers.synthetic import Synthetic


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENTS", 2)
    monkeypatch.setattr(module, "EACH", 10)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_is_the_patches_of_the_program_with_label_and_patient(tmp_path: Path) -> None:
    with drawn(tmp_path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    source = list(Synthetic(patients=2, patches_per_patient=10).records())
    assert [(row["label"], row["patient"]) for row in rows] == [(one.label, one.patient) for one in source]
    reader, root = source_of(DRAWN, Path("nowhere"), tmp_path)
    assert root == tmp_path / DRAWN
    assert [one.key for one in reader.records()] == [row["path"] for row in rows]


def test_drawn_twice_or_stopped_on_the_way_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_bytes", lambda *_: None)  # as killed before the last file
        drawn(tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "manifest.csv").exists()
    drawn(tmp_path / "stopped")
    assert _files(tmp_path / "stopped") == _files(tmp_path / "whole")
    before = (tmp_path / "whole" / "p00" / "0000.png").stat().st_mtime_ns
    drawn(tmp_path / "whole")
    assert (tmp_path / "whole" / "p00" / "0000.png").stat().st_mtime_ns == before
