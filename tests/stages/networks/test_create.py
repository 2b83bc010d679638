"""Networks: loaded whole or refused by name, and usable without this program."""

import json
import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from data.errors import ChainError, ExitCode
from data.pixels.network_input import NetworkInput
from data.pixels.windows import windows_of
from stages.networks.create import (
    create,
    first_network,
    load_network,
    network_kwargs,
    normalisation,
    save_weights,
)
from stages.networks.model_card import ModelCard
from stages.train.config import Init, StudentConfig, TeacherConfig

NAME = "mobilenetv3_small_050"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model(NAME, num_classes=1000).state_dict(), path)
    return path


def test_a_file_gives_every_tensor_but_the_classifier(weights: Path) -> None:
    section = TeacherConfig(backbone=NAME, init=Init(kind="full", path=weights))
    torch.manual_seed(2)
    network = first_network(section, 4, NetworkInput("rgb8", 32), "teacher")
    given = load_file(weights)
    for name, tensor in network.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(tensor, given[name]), name
    assert network.state_dict()["classifier.weight"].shape[0] == 4


def test_one_channel_takes_the_sum_of_the_first_convolution(weights: Path) -> None:
    section = TeacherConfig(backbone=NAME, init=Init(kind="full", path=weights))
    network = first_network(section, 4, NetworkInput("grey8", 32), "teacher")
    first = load_file(weights)["conv_stem.weight"]
    assert torch.allclose(network.state_dict()["conv_stem.weight"], first.sum(1, keepdim=True), atol=1e-5)


def test_a_misspelt_backbone_gets_a_suggestion() -> None:
    with pytest.raises(ChainError, match="resnet1O8t") as caught:
        create("resnet1O8t", {"num_classes": 2}, "teacher.backbone")
    assert "resnet" in caught.value.todo


def test_a_backbone_without_stochastic_depth_says_what_to_set() -> None:
    section = StudentConfig(backbone="vgg11", drop_path=0.5)
    with pytest.raises(ChainError, match="does not accept") as caught:
        first_network(section, 2, NetworkInput("rgb8", 32), "student")
    assert "drop_path" in caught.value.todo


def test_noise_is_the_students_alone() -> None:
    student = first_network(StudentConfig(backbone="resnet10t", dropout=0.3), 2, NetworkInput("rgb8", 32), "student")
    teacher = first_network(TeacherConfig(backbone="resnet10t"), 2, NetworkInput("rgb8", 32), "teacher")
    assert student.drop_rate == 0.3
    assert teacher.drop_rate == 0.0
    assert student.state_dict().keys() == teacher.state_dict().keys()


def test_non_finite_weights_never_leave(tmp_path: Path) -> None:
    network = timm.create_model(NAME, num_classes=2)
    with torch.no_grad():
        network.classifier.bias[0] = float("nan")
    with pytest.raises(ChainError, match="not finite") as caught:
        save_weights(network, tmp_path / "model.safetensors")
    assert caught.value.code == ExitCode.DIVERGED
    assert not list(tmp_path.iterdir())


def test_the_published_model_loads_in_timm_alone(tmp_path: Path) -> None:
    section = TeacherConfig(backbone=NAME)
    network = first_network(section, 3, NetworkInput("rgb8", 32), "teacher").eval()
    save_weights(network, tmp_path / "model.safetensors")
    kwargs = network_kwargs(section, 3, NetworkInput("rgb8", 32))
    ModelCard(NAME, kwargs, ["a", "b", "c"], 32, "rgb8", [0.5] * 3, [0.2] * 3, "ema", "words").save(
        tmp_path / "model.json"
    )
    image = torch.rand(2, 3, 32, 32)
    plain = timm.create_model(NAME, num_classes=3).eval()
    plain.load_state_dict(load_file(tmp_path / "model.safetensors"))
    again, card = load_network(tmp_path)
    assert card.classes == ["a", "b", "c"]
    with torch.inference_mode():
        assert torch.allclose(plain(image), network(image), atol=1e-5)  # another memory layout
        assert torch.allclose(again(image), network(image), atol=1e-6)


@pytest.mark.parametrize(("depth", "names"), [(1, ["lung"]), (3, ["lung"]), (3, ["lung", "bone"])])
def test_slices_and_windows_are_channels(weights: Path, depth: int, names: list[str]) -> None:
    kind = NetworkInput("hu16", 32, depth, windows_of(names))
    section = TeacherConfig(backbone=NAME, init=Init(kind="full", path=weights))
    network = first_network(section, 4, kind, "teacher")
    first = load_file(weights)["conv_stem.weight"]
    expected = timm.models.adapt_input_conv(depth * len(names), first)
    assert torch.allclose(network.state_dict()["conv_stem.weight"], expected, atol=1e-6)
    mean, std = normalisation(section, kind, ([], []))
    assert len(mean) == len(std) == kind.channels
    with torch.inference_mode():
        assert network.eval()(torch.zeros(2, kind.channels, 32, 32)).shape == (2, 4)


def test_a_pretrained_network_keeps_its_own_normalisation_and_a_random_one_the_datas() -> None:
    rgb = NetworkInput("rgb8", 32)
    cfg = timm.models.get_pretrained_cfg(NAME)
    pretrained = TeacherConfig(backbone=NAME, init=Init(kind="full"))
    assert normalisation(pretrained, rgb, ([], [])) == (list(cfg.mean), list(cfg.std))
    assert normalisation(pretrained, NetworkInput("grey8", 32), ([], []))[0] == pytest.approx([sum(cfg.mean) / 3])
    assert normalisation(TeacherConfig(backbone=NAME), rgb, ([0.1], [0.2])) == ([0.1], [0.2])


def test_weights_of_another_training_have_the_normalisation_that_is_stated() -> None:
    mean, std = [0.7, 0.6, 0.8], [0.2, 0.3, 0.1]
    section = TeacherConfig(backbone=NAME, init=Init(kind="full", mean=mean, std=std))
    assert normalisation(section, NetworkInput("rgb8", 32), ([], [])) == (mean, std)
    assert normalisation(section, NetworkInput("grey8", 32), ([], [])) == ([pytest.approx(0.7)], [pytest.approx(0.2)])
    volume = TeacherConfig(backbone="torchvision/r3d_18", init=Init(kind="full", mean=[0.5], std=[0.25]))
    kind = NetworkInput("hu16", 32, 3, windows_of(["lung", "bone"]))
    assert normalisation(volume, kind, ([], [])) == ([0.5] * 6, [0.25] * 6)


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"kind": "random", "mean": [0.5], "std": [0.5]}, "used to no mean"),
        ({"kind": "full", "mean": [0.5]}, "go together"),
        ({"kind": "full", "std": [0.5]}, "go together"),
        ({"kind": "full", "mean": [0.5], "std": [0.5, 0.5]}, "go together"),
        ({"kind": "full", "mean": [127.0], "std": [0.5]}, "less than or equal to 1"),
        ({"kind": "full", "mean": [0.5], "std": [0.0]}, "greater than 0"),
    ],
)
def test_a_normalisation_is_whole_and_in_the_range_of_images(keys: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Init.model_validate(keys)


@pytest.mark.parametrize("name", ["hf-hub:somebody/something", "local-dir:/somewhere", "https://example.org/x", "../x"])
def test_a_backbone_is_a_registered_name_and_never_an_address(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("looked up in a network"))
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pytest.fail("given to timm"))
    with pytest.raises(ChainError, match="no model") as caught:
        create(name, {"num_classes": 2}, "teacher.backbone")
    assert caught.value.code == ExitCode.MISMATCH


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"timm_kwargs": {"num_classes": 2, "checkpoint_path": "/somewhere/evil.pth"}}, "checkpoint_path"),
        ({"timm_kwargs": {"num_classes": 2, "pretrained": True}}, "pretrained"),
        ({"timm_kwargs": {"num_classes": 2, "pretrained_cfg": {"url": "https://example.org"}}}, "pretrained_cfg"),
        ({"members": [{"name": "x", "timm_kwargs": {}, "mean": [], "std": [], "file": "../../w"}]}, "'../../w'"),
        ({"members": [{"name": "x", "timm_kwargs": {}, "mean": [], "std": [], "file": "/w"}]}, "'/w'"),
        ({"more": 1}, "more"),
        ({"timm_kwargs": []}, "keys|timm_kwargs|list"),
    ],
)
def test_a_card_asks_for_a_networks_shape_and_nothing_else(tmp_path: Path, change: dict, why: str) -> None:
    card = {"name": NAME, "timm_kwargs": {"num_classes": 2}, "classes": ["a", "b"], "size_px": 32, "mode": "rgb8",
            "mean": [0.5], "std": [0.5], "weights": "w", "input": "i"}  # fmt: skip
    (tmp_path / "model.json").write_text(json.dumps(card))
    assert ModelCard.load(tmp_path / "model.json").name == NAME
    (tmp_path / "model.json").write_text(json.dumps(card | change))
    with pytest.raises(ChainError) as caught:
        ModelCard.load(tmp_path / "model.json")
    assert caught.value.code == ExitCode.DAMAGED
    assert re.search(why, caught.value.why)
