"""Ensembles: each member as it would be alone, the mean of their probabilities, the finished never trained again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from pipeline.views.how_far import how_far
from stages.measures.judged import read_judged
from stages.networks.create import load_network
from stages.networks.ensemble import Ensemble
from stages.predict import stage as predict
from stages.predict.config import PredictConfig
from stages.predict.scoring import log_probs
from stages.process import progress
from stages.promote import stage as promote
from stages.promote.config import PromoteConfig
from stages.scores import read_scores
from stages.train import member, stage
from stages.train.config import TeacherConfig
from tests.tiny import TINY

Order = Callable[..., Any]
KEYS = TINY | {"steps": 3}


class Killed(BaseException):
    pass


def digests(directory: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir() if p.is_file()}


def teachers(make_order: Order, where: Path, inputs: dict[str, Path], **keys: Any) -> Any:
    section = TeacherConfig.model_validate_json(json.dumps(KEYS | keys))
    return make_order("train", "rounds/00/teacher", where, section.model_dump(mode="json"), inputs)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, patches: dict[str, Path]) -> Path:
    """Two backbones, the second pretrained, so with a normalisation of its own."""
    from tests.conftest import order

    where = tmp_path_factory.mktemp("mixed")
    save_file(timm.create_model("test_efficientnet").state_dict(), where / "w.safetensors")
    other = {"backbone": "test_efficientnet", "init": {"kind": "full", "path": str(where / "w.safetensors")}}
    job = teachers(order, where, patches, members=[{}, other])
    stage.run(job)
    return Path(job.out)


def test_probabilities_are_averaged_each_member_on_its_own_normalisation(mixed: Path) -> None:
    """Oracle: timm alone, and what model.json says."""
    card = json.loads((mixed / "model.json").read_text())
    unit = torch.rand(3, 3, 24, 24)

    def channels(values: list[float]) -> torch.Tensor:
        return torch.tensor(values).view(-1, 1, 1)

    each = []
    for one in card["members"]:
        plain = timm.create_model(one["name"], **one["timm_kwargs"]).eval()
        plain.load_state_dict(load_file(mixed / one["file"]))
        with torch.inference_mode():
            each.append(plain((unit - channels(one["mean"])) / channels(one["std"])).softmax(1))
    assert card["members"][0]["mean"] != card["members"][1]["mean"]
    network, _ = load_network(mixed)
    with torch.inference_mode():
        said = log_probs(network, (unit - channels(card["mean"])) / channels(card["std"]), 1).exp()
    assert torch.allclose(said, torch.stack(each).mean(0), atol=1e-5)
    assert (card["name"], "average their probabilities" in card["input"]) == ("ensemble", True)
    assert not (mixed / "model.safetensors").exists()


def test_the_first_of_several_is_the_one_that_stands_alone(
    make_order: Order, tmp_path: Path, patches: dict[str, Path]
) -> None:
    alone = teachers(make_order, tmp_path / "alone", patches)
    stage.run(alone)
    two = teachers(make_order, tmp_path / "two", patches, seeds=2)
    line = stage.run(two)
    models = [load_file(two.out / f"model-{i}.safetensors") for i in (0, 1)]
    single = load_file(alone.out / "model.safetensors")
    assert all(torch.equal(models[0][name], single[name]) for name in single)
    assert not torch.equal(models[0]["fc.weight"], models[1]["fc.weight"])
    assert "2 networks, each 3 steps" in line
    members = json.loads((two.out / "metrics.json").read_text())["members"]
    assert [len(one["history"]) for one in members] == [2, 2]


@pytest.mark.parametrize("kill_at", [1, 2, 4])
def test_killed_at_any_member_it_ends_with_the_same_bytes_and_trains_none_twice(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    plain = teachers(make_order, tmp_path / "plain", patches, seeds=3)
    stage.run(plain)
    job = teachers(make_order, tmp_path / "killed", patches, seeds=3)
    step, done = member.Training.training_step, [0]

    def dying(self: Any, batch: Any, batch_idx: int) -> torch.Tensor:
        if done[0] == kill_at:
            done[0] = 99
            raise Killed
        done[0] += 1
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(member.Training, "training_step", dying)
        with pytest.raises(Killed):
            stage.run(job)
    trained: list[str] = []
    train = stage.train_member
    with monkeypatch.context() as patched:
        patched.setattr(stage, "train_member", lambda *a: trained.append(a[2].name) or train(*a))
        stage.run(job)
    assert len(trained) == 3 - (kill_at // 3)
    assert digests(job.out) == digests(plain.out)


def test_how_far_each_network_is_is_shown_from_its_first_step_on(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    advance = progress.StageProgress.advance

    def seen(bar: progress.StageProgress, *args: Any) -> None:
        advance(bar, *args)
        shown.append(how_far(job.work, job.address).split(",")[0])

    monkeypatch.setattr(progress.StageProgress, "advance", seen)
    job = teachers(make_order, tmp_path, patches, seeds=2)
    stage.run(job)
    assert shown == [f"({network} of 2) {step}/3 steps" for network in (1, 2) for step in (1, 2, 3)]


def test_a_damaged_finished_member_is_trained_again(
    make_order: Order, tmp_path: Path, patches: dict[str, Path]
) -> None:
    job = teachers(make_order, tmp_path, patches, seeds=2)
    stage.run(job)
    before = digests(job.out)
    kept = job.work / "member-0" / "model.safetensors"
    kept.write_bytes(kept.read_bytes()[:-1])
    stage.run(job)
    assert digests(job.out) == before


def test_predict_and_promote_know_nothing_of_it(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], mixed: Path
) -> None:
    section = PredictConfig(batch_size=16, views=2, mc_passes=3).model_dump(mode="json")
    job = make_order("predict", "rounds/00/predict", tmp_path, section, {**patches, "teacher": mixed})
    predict.run(job)
    scores = read_scores(job.out / "scores.h5", "validation")
    assert np.allclose(scores.probs().sum(1), 1, atol=1e-3)
    assert scores.deviation is not None
    assert float(scores.deviation.max()) > 0
    judged = read_judged(mixed)
    assert judged is not None
    last = make_order("promote", "final", tmp_path, PromoteConfig().model_dump(mode="json"), {"teacher": mixed})
    promote.run(last)
    assert {"model-0.safetensors", "model-1.safetensors", "model.json", "metrics.json"} <= digests(last.out).keys()
    network, card = load_network(last.out)
    assert isinstance(network, Ensemble)
    assert len(card.members) == 2


def test_one_network_is_its_own_ensemble() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    stats = ([0.1, 0.2, 0.3], [1.0, 1.0, 1.0])
    image = torch.rand(4, 3, 2, 2)
    assert torch.allclose(Ensemble([network], [stats], stats)(image), network(image).log_softmax(1), atol=1e-6)


def test_probabilities_too_small_for_a_float_stay_finite() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2))
    torch.nn.init.constant_(network[1].bias, 0.0)
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1000.0] * 3, [-1000.0] * 3]))
    stats = ([0.0] * 3, [1.0] * 3)
    said = Ensemble([network, network], [stats, stats], stats)(torch.ones(1, 3, 1, 1))
    assert said.tolist() == [[0.0, -6000.0]]


@pytest.mark.parametrize(
    ("keys", "match"),
    [({"seeds": 2, "members": [{}]}, "both make an ensemble"), ({"seeds": 2, "snapshots": 1}, "snap")],
)
def test_keys_that_do_not_go_together(keys: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        TeacherConfig.model_validate_json(json.dumps(keys))
