"""Curves for people: CSV and TensorBoard always, W&B and MLflow when asked for. Never read back."""

from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from stages.process.absent import refuse_absent_logger


def loggers(log: Path, address: str, asked: tuple[str, ...]) -> list[Logger]:
    """The loggers of one training. Each start gets its own numbered folder, so a resume overwrites nothing."""
    attempt = f"start-{len(list(log.glob('csv/start-*'))):02d}"
    made: list[Logger] = [
        CSVLogger(log, name="csv", version=attempt),
        TensorBoardLogger(log, name="tensorboard", version=attempt),
    ]
    return made + [_extra(name, log, address) for name in asked]


def _extra(name: str, log: Path, address: str) -> Logger:
    refuse_absent_logger(name)
    kwargs: dict[str, Any]
    if name == "wandb":
        from pytorch_lightning.loggers import WandbLogger

        return WandbLogger(name=address, save_dir=log, project="patchchain")
    from pytorch_lightning.loggers import MLFlowLogger

    kwargs = {"experiment_name": "patchchain", "run_name": address, "save_dir": str(log / "mlflow")}
    return MLFlowLogger(**kwargs)
