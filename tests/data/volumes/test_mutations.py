"""Damaged files are refused or read: never a traceback, a hang, a crash or a flood of memory."""

import json
import subprocess
import sys
from pathlib import Path


def test_damaged_volumes_are_refused_or_read(tmp_path: Path) -> None:
    # in a process of its own, because a decoder that crashed would take the other tests with it
    command = [sys.executable, "-m", "tests.data.volumes.mutations", str(tmp_path), "450"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, f"at {(tmp_path / 'now.txt').read_text()}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    assert not found["wrong"], found["wrong"][:3]
    assert found["longest_s"][0] < 10
    assert found["peak_mb"][0] < 2000
    assert sum(found["seen"].values()) >= 900
    # both happen often: the damage is neither harmless nor total
    assert found["seen"]["read"] > 200
    assert sum(count for reason, count in found["seen"].items() if reason != "read") > 200
