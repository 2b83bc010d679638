"""Methods that reach over several stages, with real stages and through the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import run_chain
from data.errors import ExitCode
from stages.scores import read_scores
from stages.select.belief import Belief
from tests.tiny import CHAIN


def run(folder: Path, *settings: str) -> tuple[int, Path]:
    config, where = folder / "tiny.yaml", folder / "run"
    config.write_text(CHAIN)
    words = [word for one in settings for word in ("--set", one)]
    return run_chain.main(["run", str(config), str(where), "--threads", "1", *words]), where


def quality(where: Path, round: int) -> dict[str, object]:
    found: dict[str, object] = json.loads((where / f"rounds/{round:02}/select/quality.json").read_text())
    return found


def test_uncertainty_with_negative_labels_then_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, where = run(
        tmp_path,
        "predict.mc_passes=3",
        "teacher.snapshots=1",
        "student.snapshots=1",
        "select={rule: uncertainty, min_confidence: 0.2, negative: true, negative_deviation: 0.05}",
        "per_round={1: {select: {rule: agreement, min_confidence: 0.0}}}",
    )
    assert code == 0, capsys.readouterr().err
    assert (where / "rounds/00/select/negative.parquet").is_file()
    assert not (where / "rounds/01/select/negative.parquet").is_file()
    pool = read_scores(where / "rounds/01/predict/scores.h5", "pool")
    before = read_scores(where / "rounds/00/predict/scores.h5", "pool")
    assert pool.opinions is not None
    said = [each.argmax(axis=1) for each in (pool.log_probs, before.log_probs, pool.opinions[0])]
    kept = pd.read_parquet(where / "rounds/01/select/selection.parquet")
    agreed = (said[0] == said[1]) & (said[0] == said[2])
    assert sorted(kept["id"]) == sorted(pool.ids[agreed])
    for at in ("rounds/01/teacher", "final"):
        names = {path.name for path in (where / at).iterdir()}
        assert {"validation.h5", "snapshot-1.safetensors", "promotion.json"} <= names
    capsys.readouterr()
    assert run_chain.main(["inspect", str(where)]) == 0
    assert "negative labels on" in capsys.readouterr().out


def test_the_student_learns_what_alignment_made_of_the_scores(tmp_path: Path) -> None:
    code, where = run(tmp_path, "rounds=1", "select={rule: threshold, tau: 0.05, align: uniform, align_steps: 100}")
    assert code == 0
    alignment = quality(where, 0)["alignment"]
    assert isinstance(alignment, dict)
    pool = read_scores(where / "rounds/00/predict/scores.h5", "pool")
    believed = Belief.load(where / "rounds/00/select").of(pool)
    np.testing.assert_allclose(believed.mean(axis=0), 0.2, atol=1e-3)
    promotion = json.loads((where / "final/promotion.json").read_text())
    low, high = promotion["interval"]
    assert low <= promotion["difference"] <= high
    assert promotion["n"] > promotion["groups"] >= 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["select={rule: uncertainty}"], ["--set select", "select.rule", "predict.mc_passes"]),
        (["per_round={1: {select: {rule: uncertainty}}}"], ["per_round.1.select.rule"]),
        (["select={rule: risk}", "splits.validation=0.0"], ["risk", "splits.validation"]),
        (["predict.mc_passes=1"], ["one pass has no deviation"]),
        (["select={rule: risk, precision: 0.99}"], ["is proven for no class", "at least 368 independent"]),
    ],
)
def test_what_a_rule_lacks_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: list[str], words: list[str]
) -> None:
    code, _ = run(tmp_path, *settings)
    shown = capsys.readouterr().err
    assert code == ExitCode.MISMATCH, shown
    assert "Traceback" not in shown
    for word in words:
        assert word in shown


def test_check_refuses_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(CHAIN)
    words = ["check", str(config), "--set", "splits.validation=0.0", "--set", "select={rule: risk}"]
    assert run_chain.main(words) == ExitCode.MISMATCH
    assert "needs labelled validation patches" in capsys.readouterr().err
    assert run_chain.main(["check", str(config), "--set", "predict.mc_passes=5"]) == 0
    assert "5 passes of test_resnet with dropout differ" in capsys.readouterr().out
