"""Labelling by ranks: every id once, the same bytes, whatever the number of shards and of ranks."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.predict import stage
from stages.predict.config import PredictConfig
from tests.ranks import in_ranks

Order = Callable[..., Any]


@pytest.mark.parametrize(("batch_size", "ranks"), [(16, 2), (16, 3), (1000, 3)])
def test_ranks_write_what_one_writes(
    batch_size: int, ranks: int, make_order: Order, tmp_path: Path, patches: dict[str, Path], teacher: Path
) -> None:
    section = PredictConfig(batch_size=batch_size, shard_batches=2, mc_passes=2).model_dump(mode="json")
    inputs = {**patches, "teacher": teacher}
    one, many = (
        make_order("predict", "rounds/00/predict", tmp_path / name, section, inputs) for name in ("one", "many")
    )
    stage.run(one)
    in_ranks(ranks, lambda: stage.run(many), tmp_path / "log")
    assert (many.out / "scores.h5").read_bytes() == (one.out / "scores.h5").read_bytes()


def test_what_others_have_labelled_is_taken_up_and_said(
    make_order: Order,
    tmp_path: Path,
    patches: dict[str, Path],
    teacher: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    section = PredictConfig(batch_size=16, shard_batches=2).model_dump(mode="json")
    job = make_order("predict", "rounds/00/predict", tmp_path, section, {**patches, "teacher": teacher})
    stage.run(job)
    shards = sorted((job.work / "shards").iterdir())
    stamps = {path: path.stat().st_mtime_ns for path in shards}
    shards[1].unlink()
    shards[2].write_bytes(b"torn")
    (job.out / "scores.h5").unlink()
    with caplog.at_level(logging.INFO):
        stage.run(job)
    assert f"labelling: {len(shards) - 2}/{len(shards)} shards already done" in caplog.text
    assert [path for path in shards if path.stat().st_mtime_ns != stamps[path]] == shards[1:3]
