"""A chain's figures by round where people follow experiments: CSV and TensorBoard, W&B and MLflow when asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.train.loggers import loggers


def log_rounds(log: Path, rounds: Sequence[tuple[int, Mapping[str, float]]], asked: tuple[str, ...]) -> None:
    """Write each round's figures under its number as step. asked: wandb, mlflow, beside CSV and TensorBoard.

    Raises ChainError (2) for one whose package is not installed.
    """
    for logger in loggers(log, "rounds", asked):
        for number, figures in rounds:
            logger.log_metrics(dict(figures), step=number)
        logger.save()
        logger.finalize("success")
