"""What is asked of the machine and not there is refused before anything is written."""

from pathlib import Path

import pytest
import torch

import run_chain
from data.errors import ChainError, ExitCode
from pipeline.hardware import refuse_absent
from stages.job import Hardware
from tests.tiny import CHAIN


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU and without extras."""
    monkeypatch.setattr("stages.process.absent.find_spec", lambda name: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(("flag", "value"), [("--device", "cuda"), ("--logger", "wandb"), ("--logger", "mlflow")])
@pytest.mark.parametrize("verb", ["run", "crossval"])
def test_what_is_not_there_is_refused_before_any_stage(
    verb: str, flag: str, value: str, bare: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(CHAIN)
    words = [verb, str(tmp_path / "tiny.yaml"), str(tmp_path / "out"), flag, value]
    assert run_chain.main(words) == ExitCode.USAGE
    assert f"{flag} {value}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_report_for_a_logger_that_is_not_there_is_refused_before_the_page(
    bare: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert run_chain.main(["report", str(tmp_path), "--out", str(page), "--logger", "wandb"]) == ExitCode.USAGE
    assert "--logger wandb" in capsys.readouterr().err
    assert not page.exists()


def test_devices_of_other_machines_are_not_asked_about_here(bare: None) -> None:
    with pytest.raises(ChainError, match="--device cuda"):
        refuse_absent(Hardware(device="cuda"), "torchrun")
    for launcher in ("slurm", "external"):
        refuse_absent(Hardware(device="cuda"), launcher)
    refuse_absent(Hardware(device="auto"), "in_process")
