"""First weights: what each kind takes over, counted; the rest is left as it was; less than asked for is refused."""

import logging
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from data.errors import ChainError, ExitCode
from data.pixels.network_input import NetworkInput
from stages.networks.create import first_network, network_kwargs
from stages.networks.init.donor import unwrap
from stages.train.config import Init, StudentConfig, TeacherConfig

NAME = "test_resnet"
RGB = NetworkInput("rgb8", 32)


def donated(where: Path, name: str = NAME) -> Path:
    """A file as a pretrained network's would be: statistics far from a new network's."""
    torch.manual_seed(1)
    state = timm.create_model(name, num_classes=1000).state_dict()
    made = {k: v + 0.5 * torch.rand_like(v) if v.is_floating_point() else v + 7 for k, v in state.items()}
    path = where / f"{name}.safetensors"
    save_file(made, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return donated(tmp_path_factory.mktemp("weights"))


def begun(kind: str, path: Path | None, seed: int = 7, name: str = NAME, **keys: object) -> torch.nn.Module:
    init = Init.model_validate({"kind": kind, "path": path, **keys})
    torch.manual_seed(seed)
    return first_network(TeacherConfig(backbone=name, init=init), 4, RGB, "teacher")


def equal(model: torch.nn.Module, path: Path) -> set[str]:
    given = load_file(path)
    return {name for name, tensor in model.state_dict().items() if torch.equal(tensor, given[name])}


def stage(name: str) -> int:
    """By hand, for a ResNet."""
    return int(name[5]) if name.startswith("layer") else 5 if name.startswith("fc.") else 0


def test_full_takes_all_but_the_classifier(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "patchchain"):
        model = begun("full", weights)
    assert equal(model, weights) == {name for name in model.state_dict() if not name.startswith("fc.")}
    said = [record.getMessage() for record in caplog.records]
    count = len(model.state_dict())
    assert said == [f"teacher.init: full: {count - 2} of {count} tensors from test_resnet.safetensors "
                    "(all but the classifier)"]  # fmt: skip
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("stages", [0, 1, 2, 4])
def test_prefix_takes_the_stem_and_so_many_stages_and_trains_everything(weights: Path, stages: int) -> None:
    model = begun("prefix", weights, stages=stages)
    random = begun("random", None)
    taken = {name for name in model.state_dict() if stage(name) <= min(stages, 4)}
    assert equal(model, weights) == taken
    for name, tensor in model.state_dict().items():  # the rest is what it would be without any transfer
        untouched = torch.equal(tensor, random.state_dict()[name]) if not name.startswith("fc.") else not tensor.any()
        assert name in taken or untouched
    assert all(p.requires_grad for p in model.parameters())


def test_a_prefix_is_two_stages_if_nothing_is_said(weights: Path) -> None:
    assert equal(begun("prefix", weights), weights) == equal(begun("prefix", weights, stages=2), weights)


def test_more_stages_than_there_are_are_refused(weights: Path) -> None:
    with pytest.raises(ChainError, match=r"teacher\.init\.stages: test_resnet has 4 stages, not 5") as caught:
        begun("prefix", weights, stages=5)
    assert caught.value.code == ExitCode.MISMATCH


@pytest.mark.parametrize(
    ("name", "stem", "stages"),
    [("test_efficientnet", "conv_stem", 4), ("test_convnext", "stem.", 4), ("test_vit", "patch_embed", 6)],
)
def test_any_network_of_timms_has_stages(tmp_path: Path, name: str, stem: str, stages: int) -> None:
    path = donated(tmp_path, name)
    kind = NetworkInput("rgb8", 160)
    counts = []
    for k in (0, 1, stages):
        init = Init(kind="prefix", path=path, stages=k)
        model = first_network(TeacherConfig(backbone=name, init=init), 4, kind, "teacher")
        given, own = load_file(path), model.state_dict()
        same = {n for n in own if torch.equal(own[n], given[n])}
        assert {n for n in own if n.startswith(stem)} <= same
        counts.append(len(same))
    assert counts == sorted(set(counts))


def test_mean_var_has_the_scale_of_every_tensor_and_none_of_its_values(weights: Path) -> None:
    model, given = begun("mean_var", weights), load_file(weights)
    fresh = timm.create_model(NAME, num_classes=4).state_dict()
    for name, parameter in model.named_parameters():
        if name.startswith("fc."):
            continue
        drawn, other = parameter.detach().double(), given[name].double()
        assert not torch.equal(drawn, other)
        n = drawn.numel()
        assert abs(drawn.mean() - other.mean()) < 5 * other.std() / n**0.5, name
        assert abs(drawn.std() / other.std() - 1) < 5 / (2 * n) ** 0.5, name
    for name, buffer in model.named_buffers():  # a running variance drawn from a normal law could be negative
        assert torch.equal(buffer, fresh[name]), name


def test_mean_var_is_seeded_and_every_tensor_has_its_own_draw(weights: Path) -> None:
    first, again, other = begun("mean_var", weights), begun("mean_var", weights), begun("mean_var", weights, seed=8)
    name = "layer1.0.conv1.weight"
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.get_parameter(name), other.get_parameter(name))
    norms = [first.get_parameter(f"layer1.0.bn{i}.weight") for i in (1, 2)]
    shapes = [(norm - norm.mean()) / norm.std() for norm in norms]
    assert not torch.allclose(shapes[0], shapes[1])


def test_mean_var_of_one_element_is_that_element() -> None:
    from stages.networks.init.mean_var import drawn

    assert drawn(torch.tensor([3.5]), torch.Size([1]), 0, "scale").tolist() == [3.5]
    assert drawn(torch.tensor(2.0), torch.Size([]), 0, "scale").item() == 2.0


@pytest.mark.parametrize(("name", "above"), [("test_resnet", None), ("resnet18", [64, 128, 128, 256])])
def test_slim_halves_what_is_above_the_prefix(tmp_path: Path, name: str, above: list[int] | None) -> None:
    path = donated(tmp_path, name)
    model = begun("slim", path, name=name)
    whole = timm.create_model(name, num_classes=4)
    section = TeacherConfig(backbone=name, init=Init(kind="slim", path=path))
    kwargs = network_kwargs(section, 4, RGB)
    assert above is None or kwargs["channels"] == above
    for layer, share in (("layer1", 1), ("layer2", 1), ("layer3", 2), ("layer4", 2)):
        slim, own = (m.get_submodule(layer)[-1].conv2.weight.shape for m in (model, whole))
        assert slim[0] * share == own[0], layer
    given = load_file(path)
    same = {n for n, t in model.state_dict().items() if t.shape == given[n].shape and torch.equal(t, given[n])}
    assert same == {n for n in model.state_dict() if stage(n) <= 2}
    plain = timm.create_model(name, **kwargs)  # model.json alone rebuilds it
    plain.load_state_dict(model.state_dict())
    assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize(("name", "stages", "match"), [("test_vit", 2, "not a ResNet"), (NAME, 4, "nothing above")])
def test_slim_is_refused_where_it_means_nothing(weights: Path, name: str, stages: int, match: str) -> None:
    with pytest.raises(ChainError) as caught:
        begun("slim", weights, name=name, stages=stages)
    assert caught.value.code == ExitCode.MISMATCH
    assert match in f"{caught.value.what} {caught.value.why}"


def test_frozen_trains_the_classifier_alone(weights: Path) -> None:
    model = begun("frozen", weights)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"fc.weight", "fc.bias"}
    assert equal(model, weights) == {name for name in model.state_dict() if not name.startswith("fc.")}


@pytest.mark.parametrize("kind", ["full", "mean_var", "prefix", "frozen", "slim"])
def test_less_than_promised_is_refused(tmp_path: Path, weights: Path, kind: str) -> None:
    tensors = load_file(weights)
    lost = "layer1.0.conv2.weight"
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, tmp_path / "w.safetensors")
    with pytest.raises(ChainError, match=r"teacher\.init\.path: w\.safetensors does not fit test_resnet") as caught:
        begun(kind, tmp_path / "w.safetensors")
    assert caught.value.code == ExitCode.MISMATCH
    assert "1 are absent" in caught.value.why
    assert lost in caught.value.why


def test_a_prefix_asks_for_no_more_than_the_prefix(tmp_path: Path, weights: Path) -> None:
    tensors = {name: tensor for name, tensor in load_file(weights).items() if stage(name) <= 2}
    save_file(tensors, tmp_path / "w.safetensors")
    begun("prefix", tmp_path / "w.safetensors")
    with pytest.raises(ChainError):
        begun("prefix", tmp_path / "w.safetensors", stages=3)


def test_wrapped_names_are_read_and_that_is_said(
    tmp_path: Path, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = load_file(weights)
    save_file({f"module.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "w.safetensors")
    with caplog.at_level(logging.INFO, "patchchain"):
        wrapped = begun("full", tmp_path / "w.safetensors")
    assert equal(wrapped, weights) == equal(begun("full", weights), weights)
    assert any("every tensor of w.safetensors is called module." in record.getMessage() for record in caplog.records)


def test_only_what_all_names_begin_with_is_a_wrapper() -> None:
    one = torch.zeros(1)
    assert unwrap({"module.model.a": one, "module.model.b": one})[0].keys() == {"a", "b"}
    assert unwrap({"module.a": one, "b": one}) == ({"module.a": one, "b": one}, "")
    assert unwrap({}) == ({}, "")


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ChainError, match="is not a safetensors file") as caught:
        begun("full", path)
    assert caught.value.code == ExitCode.BAD_DATA
    with pytest.raises(ChainError, match="is missing") as caught:
        begun("full", tmp_path / "absent.safetensors")
    assert caught.value.code == ExitCode.MISSING


def test_fetched_weights_begin_like_those_of_a_file(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake of timm's hub suffices: all that is asked of it is a network with weights in it."""
    make = timm.create_model

    def fetched(name: str, pretrained: bool = False, **kwargs: object) -> torch.nn.Module:
        model = make(name, **kwargs)
        if pretrained:
            own = {k: v for k, v in load_file(weights).items() if not k.startswith("fc.")}
            model.load_state_dict(own, strict=False)
        return model

    monkeypatch.setattr(timm, "create_model", fetched)
    for kind in ("full", "prefix", "slim", "frozen"):
        hub, file = begun(kind, None), begun(kind, weights)
        same = [torch.equal(a, b) for a, b in zip(hub.state_dict().values(), file.state_dict().values(), strict=True)]
        taken = {n for n in file.state_dict() if stage(n) <= (4 if kind in ("full", "frozen") else 2)}
        assert all(s for s, n in zip(same, file.state_dict(), strict=True) if n in taken)


def test_the_same_kinds_for_teacher_and_student(weights: Path) -> None:
    section = StudentConfig(backbone=NAME, init=Init(kind="prefix", path=weights), drop_path=0.0)
    model = first_network(section, 4, RGB, "student")
    assert equal(model, weights) == {name for name in model.state_dict() if stage(name) <= 2}


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"kind": "random", "path": "w.safetensors"}, "another init.kind"),
        ({"kind": "full", "stages": 2}, "prefix or slim"),
        ({"kind": "half"}, "mean_var"),
    ],
)
def test_keys_that_do_not_go_together(keys: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Init.model_validate_json(__import__("json").dumps(keys))


def test_the_older_word_for_full_is_read() -> None:
    assert Init.model_validate({"kind": "pretrained"}).model_dump()["kind"] == "full"


@pytest.mark.parametrize("kind", ["full", "frozen", "prefix", "mean_var"])
def test_a_classifier_beside_transferred_layers_says_nothing_at_first(weights: Path, kind: str) -> None:
    with torch.inference_mode():
        said = begun(kind, weights).eval()(torch.randn(2, 3, 64, 64))
    assert said.abs().max() == 0
    with torch.inference_mode():
        assert begun("random", None).eval()(torch.randn(2, 3, 64, 64)).abs().max() > 0
