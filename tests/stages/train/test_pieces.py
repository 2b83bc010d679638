"""--batch-size auto: as few pieces as fit, and the same training."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

from data.errors import ChainError, ExitCode
from stages.train import pieces, stage
from stages.train.config import TeacherConfig
from tests.tiny import TINY

Order = Callable[..., Any]
GROUPS = TINY | {"backbone": "test_efficientnet_gn", "batch_size": 12, "noise": "weak"}


def teacher(make_order: Order, where: Path, inputs: dict[str, Path], accumulate: int, **keys: Any) -> Any:
    section = TeacherConfig.model_validate(GROUPS | keys).model_dump(mode="json")
    job = make_order("train", "rounds/00/teacher", where, section, inputs)
    return dataclasses.replace(job, hardware=dataclasses.replace(job.hardware, accumulate=accumulate))


def room_for(patches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "fits_on_host", lambda network, shape: shape[0] <= patches)


@pytest.mark.parametrize(("room", "expected"), [(12, 1), (11, 2), (6, 2), (5, 4), (1, 12)])
def test_a_step_is_taken_in_as_few_pieces_as_fit_and_is_the_same_step(
    make_order: Order,
    tmp_path: Path,
    patches: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    room: int,
    expected: int,
) -> None:
    whole, auto = (teacher(make_order, tmp_path / name, patches, k) for name, k in (("whole", 1), ("auto", 0)))
    stage.run(whole)
    room_for(room, monkeypatch)
    with caplog.at_level("INFO"):
        stage.run(auto)
    assert ("fit into memory whole" if expected == 1 else f"in {expected} pieces") in caplog.text
    found, wanted = (load_file(job.out / "model.safetensors") for job in (auto, whole))
    for name, values in wanted.items():
        # AdamW divides by the size of a gradient: next to nothing, the order of a sum becomes a step
        assert torch.allclose(found[name], values, atol=2e-3), name


def test_pieces_of_a_network_with_batch_statistics_are_refused_by_name(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for(5, monkeypatch)
    with pytest.raises(ChainError) as caught:
        stage.run(teacher(make_order, tmp_path, patches, 0, backbone="test_resnet"))
    assert caught.value.code == ExitCode.OUT_OF_MEMORY
    assert "steps of 12 patches do not fit" in caught.value.what
    assert "3 at a time do" in caught.value.what
    assert "another training" in caught.value.why
    assert "--accumulate 4" in caught.value.todo


def test_where_not_even_one_patch_fits_the_run_ends_before_the_first_step(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for(0, monkeypatch)
    with pytest.raises(ChainError, match="not even steps of one patch") as caught:
        stage.run(teacher(make_order, tmp_path, patches, 0))
    assert caught.value.code == ExitCode.OUT_OF_MEMORY


def test_on_the_host_the_estimate_grows_with_the_step_and_is_near_what_a_step_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = timm.create_model("test_efficientnet_gn", num_classes=3).train()
    kept = [pieces._kept_bytes(network, (count, 3, 32, 32)) for count in (2, 4, 8)]
    assert kept[2] - kept[1] == pytest.approx(2 * (kept[1] - kept[0]), rel=0.02)
    monkeypatch.setattr(pieces, "_host_memory", lambda: 1e8)
    fits = [pieces.fits_on_host(network, (count, 3, 32, 32)) for count in (1, 8, 64, 512, 4096, 32768)]
    assert fits[0]
    assert not fits[-1]
    assert fits == sorted(fits, reverse=True)


def test_the_probe_leaves_weights_statistics_and_draws_as_they_were(
    make_order: Order, tmp_path: Path, patches: dict[str, Path]
) -> None:
    plain, auto = (teacher(make_order, tmp_path / name, patches, k) for name, k in (("plain", 1), ("auto", 0)))
    stage.run(plain)
    stage.run(auto)
    assert (auto.out / "model.safetensors").read_bytes() == (plain.out / "model.safetensors").read_bytes()
