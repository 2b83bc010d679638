"""3-D networks: torchvision's own under its own names, fed like everybody else."""

import copy
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import video

from data.errors import ChainError, ExitCode
from data.pixels.network_input import NetworkInput
from data.pixels.windows import windows_of
from stages.networks.create import (
    first_network,
    load_network,
    network_kwargs,
    normalisation,
    save_weights,
)
from stages.networks.model_card import ModelCard, input_words
from stages.networks.volume import KINETICS_MEAN, NAMES, adapt_first
from stages.predict.scoring import log_probs
from stages.train.config import Init, StudentConfig, TeacherConfig
from stages.train.preflight import check_network

R3D = "torchvision/r3d_18"
TWO_WINDOWS = NetworkInput("hu16", 16, 4, windows_of(["lung", "bone"]))


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return first_network(TeacherConfig(backbone=R3D), 3, TWO_WINDOWS, "teacher")


def test_it_learns_from_volumes(network: torch.nn.Module) -> None:
    images = torch.rand(2, 8, 16, 16)
    scores = network.train()(images)
    assert scores.shape == (2, 3)
    scores.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_windows_are_its_channels_and_slices_its_depth(network: torch.nn.Module) -> None:
    """Oracle: torchvision's own network under the same tensors, given (B, W, D, S, S) by hand."""
    plain = video.r3d_18(num_classes=3)
    plain.stem[0] = torch.nn.Conv3d(2, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
    plain.load_state_dict(network.state_dict())
    images = torch.rand(2, 8, 16, 16)
    by_hand = torch.stack([images[:, :4], images[:, 4:]], dim=1)
    with torch.inference_mode():
        assert torch.allclose(network.eval()(images), plain.eval()(by_hand), atol=1e-5)


def test_saved_and_loaded_like_the_others(network: torch.nn.Module, tmp_path: Path) -> None:
    kwargs = network_kwargs(TeacherConfig(backbone=R3D), 3, TWO_WINDOWS)
    save_weights(copy.deepcopy(network), tmp_path / "model.safetensors")
    words = input_words(R3D, TWO_WINDOWS, stain=False)
    ModelCard(R3D, kwargs, ["a", "b", "c"], 16, "hu16", [0.0] * 8, [1.0] * 8, "ema", words, **TWO_WINDOWS.plain()).save(
        tmp_path / "model.json"
    )
    again, card = load_network(tmp_path)
    assert windows_of(card.windows) == TWO_WINDOWS.windows
    assert (card.depth, "(batch, windows, slices, height, width)" in card.input) == (4, True)
    images = torch.rand(2, 8, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(again(images), network.eval()(images), atol=1e-6)
        assert torch.allclose(log_probs(again, images, 8).exp().sum(1), torch.ones(2), atol=1e-4)


def test_every_network_by_name(tmp_path: Path) -> None:
    for name in NAMES:
        assert check_network(TeacherConfig(backbone=name), 2, TWO_WINDOWS)[0].startswith(f"teacher: {name}, ")


@pytest.mark.parametrize("kind", [NetworkInput("rgb8", 16), NetworkInput("hu16", 16, 1, windows_of(["lung"]))])
def test_flat_patches_are_refused_by_name(kind: NetworkInput) -> None:
    with pytest.raises(ChainError, match=r"student\.backbone: torchvision/r3d_18 is a 3-D network") as refusal:
        first_network(StudentConfig(backbone=R3D), 2, kind, "student")
    assert refusal.value.code == ExitCode.MISMATCH


def test_a_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(ChainError, match="torchvision has no model 'torchvision/r3d_8'") as refusal:
        first_network(TeacherConfig(backbone="torchvision/r3d_8"), 2, TWO_WINDOWS, "teacher")
    assert R3D in refusal.value.todo


def test_stochastic_depth_is_refused_and_dropout_is_the_students() -> None:
    with pytest.raises(ChainError, match="does not accept") as refusal:
        first_network(StudentConfig(backbone=R3D), 2, TWO_WINDOWS, "student")
    assert "drop_path" in refusal.value.todo
    student = first_network(StudentConfig(backbone=R3D, dropout=0.5, drop_path=0.0), 2, TWO_WINDOWS, "student")
    teacher = first_network(TeacherConfig(backbone=R3D), 2, TWO_WINDOWS, "teacher")
    assert student.state_dict().keys() == teacher.state_dict().keys()
    images = torch.rand(2, 8, 16, 16)
    for module in student.modules():  # only dropout may differ from call to call
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = 0.0
    assert not torch.equal(student.train()(images), student(images))
    assert torch.equal(student.eval()(images), student(images))


def test_pretrained_weights_of_torchvision_fit_any_number_of_windows(tmp_path: Path) -> None:
    torch.manual_seed(1)
    own = video.r3d_18().state_dict()
    save_file({name: tensor.contiguous() for name, tensor in own.items()}, tmp_path / "w.safetensors")
    section = TeacherConfig(backbone=R3D, init=Init(kind="full", path=tmp_path / "w.safetensors"))
    for names in (["lung"], ["lung", "bone"], ["lung", "bone", "liver"]):
        kind = NetworkInput("hu16", 16, 4, windows_of(names))
        first = first_network(section, 2, kind, "teacher").state_dict()["stem.0.weight"]
        grey = torch.full((1, 3, 3, 7, 7), 0.3)
        given = (own["stem.0.weight"] * grey).sum((1, 2, 3, 4))
        if len(names) == 3:
            assert torch.equal(first, own["stem.0.weight"])
        elif len(names) == 1:
            assert torch.allclose((first * 0.3).sum((1, 2, 3, 4)), given, atol=1e-5)
        mean, std = normalisation(section, kind, ([9.0], [9.0]))
        assert len(mean) == len(std) == kind.channels
    assert mean == [value for value in KINETICS_MEAN for _ in range(4)]
    tensors = load_file(tmp_path / "w.safetensors")
    save_file({name: tensors[name] for name in list(tensors)[:40]}, tmp_path / "half.safetensors")
    half = TeacherConfig(backbone=R3D, init=Init(kind="full", path=tmp_path / "half.safetensors"))
    with pytest.raises(ChainError, match="does not fit torchvision/r3d_18"):
        first_network(half, 2, kind, "t")


def test_fetched_weights_are_never_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake of torch.hub suffices: what it is asked for is what decides."""
    own = video.mc3_18().state_dict()
    asked: dict[str, object] = {}

    def fetched(url: str, **words: object) -> object:
        asked.update(words, url=url)
        return own

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetched)
    section = TeacherConfig(backbone="torchvision/mc3_18", init=Init(kind="full"))
    network = first_network(section, 2, TWO_WINDOWS, "teacher")
    assert asked["weights_only"] is asked["check_hash"] is True
    assert "mc3_18" in str(asked["url"])
    name = "layer1.0.conv1.0.weight"
    assert torch.equal(network.state_dict()[name], own[name])

    def unreachable(url: str, **words: object) -> object:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    with pytest.raises(ChainError, match=r"teacher\.backbone: the pretrained weights of torchvision/mc3_18") as refusal:
        first_network(section, 2, TWO_WINDOWS, "teacher")
    assert refusal.value.code == ExitCode.MISSING


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 7])
def test_the_first_convolution_follows_timms_rule(channels: int) -> None:
    weight = torch.rand(5, 3, 3, 3)
    expected = timm.models.adapt_input_conv(channels, weight)
    assert torch.allclose(adapt_first(weight, channels), expected, atol=1e-6)
