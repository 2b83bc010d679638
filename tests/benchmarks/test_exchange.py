"""What two ranks exchange: four ways of the same step, by two real processes, each with its figure."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

WORDS = ["--backbone", "test_resnet", "--size-px", "24", "--batch-size", "6", "--steps", "2", "--repeats", "3"]


@pytest.mark.slow
def test_every_way_is_a_row_and_says_what_it_costs_more_than_the_one_before() -> None:
    command = [sys.executable, "-m", "benchmarks.exchange", *WORDS]
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True, timeout=300).stdout
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in said.splitlines()[2:]]
    took = [float(re.match(r"(\d+) \(\d+-\d+\)$", row[1])[1]) for row in rows]
    assert [row[0].split(",")[0] for row in rows] == [
        "one rank", "two ranks", "and gradients are averaged", "and batch statistics are those of the whole",
    ]  # fmt: skip
    assert rows[0][2] == ""
    for before, after, row in zip(took, took[1:], rows[1:], strict=False):
        assert float(row[2]) == pytest.approx(after - before, abs=1.01)  # rounded apart
    assert took[-1] > took[0] > 0
