"""Layer-wise rates are timm's; a frozen encoder does not move, nor do its statistics."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.optim import param_groups_layer_decay

from data.errors import ChainError
from stages.train import stage
from stages.train.config import StudentConfig, TeacherConfig
from stages.train.optimizer import parameter_groups
from tests.tiny import TINY


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_each_layer_learns_at_a_share_of_the_one_above(name: str, decay: float) -> None:
    """Oracle: timm's own groups, which its schedulers scale."""
    network = timm.create_model(name, num_classes=2)
    ours = parameter_groups(network, 0.05, 2e-3, decay, "student.lr_decay")
    theirs = param_groups_layer_decay(network, 0.05, layer_decay=decay)

    def by_parameter(groups: list[Any], rate: Callable[[Any], float]) -> dict[int, tuple[float, float]]:
        return {id(p): (round(rate(g), 12), g["weight_decay"]) for g in groups for p in g["params"]}

    expected = by_parameter(theirs, lambda group: 2e-3 * group["lr_scale"])
    assert by_parameter(ours, lambda group: group["lr"]) == expected
    assert max(group["lr"] for group in ours) == pytest.approx(2e-3)


def test_without_decay_there_are_two_groups_at_one_rate() -> None:
    network = timm.create_model("test_resnet", num_classes=2)
    groups = parameter_groups(network, 0.05, 1e-3, 1.0, "k")
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


def test_a_network_that_cannot_be_cut_is_refused_by_key() -> None:
    with pytest.raises(ChainError, match=r"student\.lr_decay: Linear cannot be cut"):
        parameter_groups(torch.nn.Linear(2, 2), 0.05, 1e-3, 0.5, "student.lr_decay")


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_frozen_encoder_is_the_same_after_training(
    make_order: Callable[..., Any],
    tmp_path: Path,
    patches: dict[str, Path],
    labelled_pool: dict[str, Path],
    teacher: Path,
    role: str,
) -> None:
    path = tmp_path / "w.safetensors"
    torch.manual_seed(5)
    save_file(timm.create_model("test_resnet", num_classes=9).state_dict(), path)
    section = (TeacherConfig if role == "teacher" else StudentConfig).model_validate_json(
        json.dumps(TINY | {"init": {"kind": "frozen", "path": str(path)}})
    )
    inputs = patches if role == "teacher" else patches | labelled_pool | {"teacher": teacher}
    job = make_order("train", f"rounds/00/{role}", tmp_path, section.model_dump(mode="json"), inputs)
    stage.run(job)
    given, made = load_file(path), load_file(job.out / "model.safetensors")
    assert all(torch.equal(made[name], given[name]) for name in given if not name.startswith("fc."))
    assert made["fc.weight"].shape == (5, given["fc.weight"].shape[1])
    assert made["fc.weight"].abs().sum() > 0


def test_frozen_stages_and_norms_stay_as_init_has_them(
    make_order: Callable[..., Any], tmp_path: Path, patches: dict[str, Path]
) -> None:
    path = tmp_path / "w.safetensors"
    torch.manual_seed(5)
    save_file(timm.create_model("test_resnet", num_classes=9).state_dict(), path)
    keys = {"init": {"kind": "full", "path": str(path)}, "frozen_stages": 1, "frozen_norms": True}
    section = TeacherConfig.model_validate_json(json.dumps(TINY | keys))
    job = make_order("train", "rounds/00/teacher", tmp_path, section.model_dump(mode="json"), patches)
    stage.run(job)
    given, made = load_file(path), load_file(job.out / "model.safetensors")
    moved = {name for name in given if not name.startswith("fc.") and not torch.equal(made[name], given[name])}
    assert not any(name.startswith(("conv1", "bn1", "layer1")) for name in moved)
    assert not any("running" in name for name in moved), "statistics follow noised batches"
    assert any(name.startswith("layer2") for name in moved), "the rest is trained"
