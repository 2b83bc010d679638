"""A disk that fills in the middle of a chain; the whole of it is benchmarks/full_disk.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_a_full_disk_keeps_what_is_committed_and_costs_no_byte() -> None:
    words = [sys.executable, "-m", "benchmarks.full_disk", "--disks", "2"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=540, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["wrong"] == 0
    assert summary["full disks"] + summary["files too large"] >= 2
