"""Earlier states: kept at equal distances, the same after a kill, asked by predict, carried by promotion."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from stages.networks.snapshots import snapshot_steps, snapshots_of
from stages.predict import stage as predict
from stages.scores import read_scores
from stages.train import stage as train
from stages.train.config import TeacherConfig
from stages.train.module import Training
from tests.stages.predict.test_stage import job
from tests.tiny import TINY

Order = Callable[..., Any]


@given(st.integers(1, 10_000), st.integers(0, 8))
def test_steps_lie_strictly_inside_the_training(steps: int, count: int) -> None:
    found = snapshot_steps(steps, count)
    assert found == sorted(set(found))
    assert all(0 < step < steps for step in found)
    assert len(found) == count or steps <= 2 * (count + 1)


def test_thirds_are_those_of_the_paper() -> None:
    assert snapshot_steps(300, 2) == [100, 200]


@pytest.fixture(scope="module")
def kept(patches: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.conftest import order

    section = TeacherConfig.model_validate(TINY | {"snapshots": 2}).model_dump(mode="json")
    job = order("train", "rounds/00/teacher", tmp_path_factory.mktemp("kept"), section, patches)
    train.run(job)
    return Path(job.out)


def test_a_training_that_keeps_states_ends_in_the_same_model(kept: Path, teacher: Path) -> None:
    assert (kept / "model.safetensors").read_bytes() == (teacher / "model.safetensors").read_bytes()
    names = [path.name for path in snapshots_of(kept)]
    assert names == ["snapshot-1.safetensors", "snapshot-2.safetensors"]
    assert snapshots_of(teacher) == []
    states = [load_file(path) for path in (kept / "model.safetensors", *snapshots_of(kept))]
    away = [float((state["fc.weight"] - states[0]["fc.weight"]).norm()) for state in states]
    assert away[0] == 0 < away[1] < away[2]  # the latest first


@pytest.mark.parametrize("kill_at", [2, 3, 5])
def test_a_killed_training_keeps_the_same_states(
    make_order: Order,
    tmp_path: Path,
    patches: dict[str, Path],
    kept: Path,
    monkeypatch: pytest.MonkeyPatch,
    kill_at: int,
) -> None:
    section = TeacherConfig.model_validate(TINY | {"snapshots": 2}).model_dump(mode="json")
    killed = make_order("train", "rounds/00/teacher", tmp_path, section, patches)
    step = Training.training_step

    def dying(self: Training, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == kill_at:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "training_step", dying)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train.run(killed)
    train.run(killed)
    for path in snapshots_of(kept):
        assert (killed.out / path.name).read_bytes() == path.read_bytes()


def test_predict_asks_every_state(make_order: Order, tmp_path: Path, patches: dict[str, Path], kept: Path) -> None:
    one = job(make_order, tmp_path, {**patches, "teacher": kept})
    line = predict.run(one)
    assert "2 earlier states" in line
    pool = read_scores(one.out / "scores.h5", "pool")
    assert pool.opinions is not None
    assert pool.opinions.shape == (2, *pool.log_probs.shape)
    assert len(pool.others()) == 2
    assert not np.array_equal(pool.opinions[0], pool.opinions[1])
    assert np.allclose(np.exp(pool.opinions.astype(np.float32)).sum(2), 1, atol=0.01)
