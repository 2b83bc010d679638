"""Curves for people: always CSV and TensorBoard, each start in a folder of its own; extras only when asked for."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from data.errors import ChainError, ExitCode
from stages.train.loggers import loggers


def test_a_resume_overwrites_no_curve(tmp_path: Path) -> None:
    for start in range(2):
        csv, board = loggers(tmp_path, "rounds/00/teacher", ())
        csv.log_metrics({"loss": 1.0 + start}, step=1)
        csv.save()
        board.log_metrics({"loss": 1.0}, step=1)
        board.finalize("success")
    curves = sorted(tmp_path.glob("csv/start-*/metrics.csv"))
    assert [path.parent.name for path in curves] == ["start-00", "start-01"]
    assert "1.0" in curves[0].read_text()
    assert len(list(tmp_path.glob("tensorboard/start-*/events*"))) == 2


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_an_extra_that_is_not_installed_is_named(tmp_path: Path, name: str) -> None:
    if find_spec(name):
        pytest.skip(f"{name} is installed here")
    with pytest.raises(ChainError, match=f"--logger {name}") as caught:
        loggers(tmp_path, "rounds/00/teacher", (name,))
    assert caught.value.code == ExitCode.USAGE
    assert f"patchchain[{name}]" in caught.value.todo
