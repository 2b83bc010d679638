"""The program lists its own fault points; whoever writes durably passes one."""

import subprocess
import sys
from collections import Counter

from pipeline.fault_points import ROOT, fault_points


def test_every_point_has_a_name_of_its_own() -> None:
    names = Counter(found.name for found in fault_points())
    assert len(names) > 30
    assert max(names.values()) == 1, names.most_common(3)


def test_the_program_prints_them() -> None:
    words = [sys.executable, "-m", "pipeline.fault_points"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert len(shown.splitlines()) == len(fault_points())
    assert "ckpt.mid_write" in shown
