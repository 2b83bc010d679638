"""A command with everything it starts."""

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.beside_others import watch
from benchmarks.beside_others.watch import watched


def test_what_a_command_starts_is_counted_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.02)
    child = "x = bytearray(50_000_000); import time; time.sleep(0.5)"
    spent = watched(["sh", "-c", f"'{sys.executable}' -c '{child}'; true"], os.environ, tmp_path / "said")
    assert spent.clock_s > 0.5
    assert spent.processor_s > 0
    assert spent.peak_mib > 40


def test_what_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"exit 3: (?s:.*)no such thing"):
        watched(["sh", "-c", "echo no such thing; exit 3"], os.environ, tmp_path / "said")


def test_a_kill_reaches_what_was_started(tmp_path: Path) -> None:
    late = tmp_path / "late"
    spent = watched(["sh", "-c", f"(sleep 1; touch '{late}') & wait"], os.environ, tmp_path / "said", kill_after_s=0.1)
    assert 0.1 <= spent.clock_s < 1
    time.sleep(1.2)
    assert not late.exists()
