"""A sample of the sweep over every fault point; the whole of it is benchmarks/fault_sweep.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from data.fault import KINDS
from pipeline.fault_points import fault_points

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_struck_at_every_point_in_every_way_it_ends_with_the_same_bytes() -> None:
    words = [sys.executable, "-m", "benchmarks.fault_sweep", "--sample", "150", "--together", "15", "--rounds", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=540, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["injections"] >= 150
    assert summary["points"] == len(fault_points())
    assert set(summary["kinds"]) == set(KINDS)
    assert summary["wrong"] == 0
