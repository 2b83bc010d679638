"""A few strikes at single ranks of a real training; the whole of it is benchmarks/rank_faults.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_a_dead_a_hung_and_a_pre_empted_rank_end_as_documented_and_cost_no_byte() -> None:
    words = [sys.executable, "-m", "benchmarks.rank_faults", "--sample", "4", "--together", "4"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=540, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["strikes"] == 4
    assert summary["kinds"] >= 3
    assert summary["at rank 1"] >= 3
    assert summary["wrong"] == 0
