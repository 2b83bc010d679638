"""The promise of `risk` beside the hidden truth: what a line says is what the chain kept, and a refusal breaks none."""

import csv
import json
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

import run_chain
from benchmarks import risk_promise
from benchmarks.label_efficiency import drawn
from data.errors import ExitCode

LEAST = "0.000001"  # one patch that is right proves it, of a network that has learnt next to nothing


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A few patches that the program draws, and random weights."""
    desk = tmp_path_factory.mktemp("risk")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(drawn, "EACH", 15)
        drawn.drawn(desk / "of" / drawn.DRAWN)
    save_file(timm.create_model("tf_efficientnet_lite0").state_dict(), desk / "lite0.safetensors")
    asked = ["drawn", "--size", "toy", "--weights", str(desk / "lite0.safetensors"), "--features", str(desk / "of")]
    return [*asked, "--device", "cpu", "--threads", "1", "--seeds", "1"]


def test_a_line_says_what_the_chain_kept_and_a_second_call_runs_nothing(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*words, "--into", str(tmp_path)]
    assert risk_promise.main([*words, "--precision", LEAST]) == ExitCode.DONE
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "seed-00/rounds/00/select/quality.json").read_bytes())
    assert found["rule"] == "risk"
    assert f"{found['total']['kept']:,} kept" in said
    assert f"{found['total']['audit']['precision']:.1%} right" in said
    assert "1 of 1 seeds keep the promise, 0 of them" in said
    monkeypatch.setattr(run_chain, "main", lambda *_: pytest.fail("it was done"))
    risk_promise.main([*words, "--precision", LEAST])
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("unit", risk_promise.UNITS)
def test_patients_are_named_where_they_are_to_be_kept_whole(words: list[str], unit: str, tmp_path: Path) -> None:
    risk_promise.main([*words, "--unit", unit, "--precision", "0.999", "--into", str(tmp_path)])
    with (tmp_path / "manifest.csv").open(newline="") as file:
        assert any(row["patient"] for row in csv.DictReader(file)) == (unit == "slide")


def test_where_nothing_is_proven_nothing_is_kept_and_that_is_said(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert risk_promise.main([*words, "--precision", "0.999", "--into", str(tmp_path)]) == ExitCode.DONE
    said = capsys.readouterr().out
    assert "seed 0: nothing is proven" in said
    assert "1 of 1 seeds keep the promise, 1 of them by keeping nothing; 0 of 0" in said


def test_a_folder_of_other_settings_is_no_refusal_of_the_rule(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*words, "--precision", "0.999", "--into", str(tmp_path)]
    assert risk_promise.main(words) == ExitCode.DONE
    capsys.readouterr()
    assert risk_promise.main([*words, "--validation", "0.2"]) == ExitCode.MISMATCH
    said = capsys.readouterr()
    assert "nothing is proven" not in said.out
    assert "splits.validation: 0.1 -> 0.2" in said.err


def test_a_set_that_is_not_there_ends_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = risk_promise.main(["gone.csv", "--features", str(tmp_path), "--into", str(tmp_path / "runs")])
    assert code == ExitCode.MISSING
    assert "gone.csv" in capsys.readouterr().err
