"""A finished chain of real stages, and what a person would say of its patches."""

import csv
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import run_chain
from data.splits.written import load_audit, load_splits
from tests.tiny import CHAIN


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds of drawn tissue. Not to be changed: see `run`."""
    where = tmp_path_factory.mktemp("reviewed")
    (where / "tiny.yaml").write_text(CHAIN)
    assert run_chain.main(["run", str(where / "tiny.yaml"), str(where / "run"), "--threads", "1", "--quiet"]) == 0
    return where / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="session")
def truth(finished: Path) -> dict[str, str]:
    """Patch id -> class, of the pool: what an infallible person would say."""
    audit, classes = load_audit(finished / "data/splits"), load_splits(finished / "data/splits").classes
    return {f"{int(one):016x}": classes[code] for one, code in zip(audit.ids, audit.label, strict=True)}


Fill = Callable[[Path, Mapping[str, str]], Path]


@pytest.fixture
def fill() -> Fill:
    """Write labels into a sheet, by patch id."""

    def filled(sheet: Path, said: Mapping[str, str]) -> Path:
        with sheet.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row["label"] = said.get(row["id"], "")
        with sheet.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        return sheet

    return filled
