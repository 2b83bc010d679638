"""The gate: validation decides, test never enters, and the reason is written down."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.job import Job
from stages.promote import decide, run
from stages.promote_config import PromoteConfig


def metrics(validation: float | None, test: float = 0.5) -> dict[str, Any]:
    def part(x: float) -> dict[str, float]:
        return {"balanced_accuracy": x, "accuracy": x, "macro_f1": x}

    return {"validation": None if validation is None else part(validation), "test": part(test)}


@pytest.mark.parametrize(
    ("teacher", "student", "tolerance", "winner"),
    [(0.8, 0.9, 0.0, "student"), (0.8, 0.8, 0.0, "student"), (0.8, 0.79, 0.0, "teacher"), (0.8, 0.79, 0.02, "student")],
)
def test_a_worse_student_is_not_promoted(teacher: float, student: float, tolerance: float, winner: str) -> None:
    section = PromoteConfig(tolerance=tolerance)
    assert decide(section, metrics(teacher), metrics(student))["winner"] == winner


def test_test_accuracy_never_decides() -> None:
    section = PromoteConfig()
    good, bad = metrics(0.8, test=0.99), metrics(0.8, test=0.01)
    assert decide(section, good, bad)["winner"] == "student"
    assert decide(section, metrics(0.9, 0.0), metrics(0.8, 1.0))["winner"] == "teacher"


def test_without_validation_or_gate_every_student_passes_and_the_record_says_so() -> None:
    assert "no validation" in decide(PromoteConfig(), metrics(None), metrics(None))["reason"]
    ungated = decide(PromoteConfig(gate=False), metrics(0.9), metrics(0.1))
    assert ungated["winner"] == "student"
    assert "gate is off" in ungated["reason"]


def test_the_winner_is_copied_and_no_gain_is_named(tmp_path: Path) -> None:
    for who, value in (("teacher", 0.9), ("student", 0.5)):
        (tmp_path / who).mkdir()
        (tmp_path / who / "model.safetensors").write_bytes(who.encode())
        (tmp_path / who / "model.json").write_text("{}")
        (tmp_path / who / "metrics.json").write_text(json.dumps(metrics(value)))
    out = tmp_path / "out"
    out.mkdir()
    inputs = {who: tmp_path / who for who in ("teacher", "student")}
    section = PromoteConfig().model_dump(mode="json")
    line = run(Job("rounds/01/teacher", "promote", 1, 0, section, inputs, out, tmp_path, tmp_path))
    assert (out / "model.safetensors").read_bytes() == b"teacher"
    assert json.loads((out / "stop.json").read_text())["reason"] == "no_gain"
    assert "0.900 -> 0.500" in line
