"""MC-dropout: drops in its own passes alone, draws the same whenever asked, and never touches the labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError

from data.errors import ChainError, ExitCode
from data.pixels.network_input import NetworkInput
from stages.networks.create import load_network
from stages.predict import stage
from stages.predict.config import PredictConfig
from stages.predict.mc_dropout import check_dropout, deviation, dropping, rebuilt, refuse_unmoved
from stages.predict.shards import Shards
from stages.scores import read_scores
from stages.train.config import TeacherConfig
from tests.stages.predict.test_stage import job

Order = Callable[..., Any]
MC = PredictConfig(mc_passes=10, mc_dropout=0.5)


@pytest.fixture(scope="module")
def dropped(teacher: Path) -> torch.nn.Module:
    network, card = load_network(teacher)
    return rebuilt(network, card, MC)


def images(n: int = 4) -> torch.Tensor:
    return torch.randn(n, 3, 24, 24, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def test_the_deviation_is_that_of_the_passes_written_out(dropped: torch.nn.Module) -> None:
    from data.keys import seed_of

    found = deviation(dropped, images(), 10, seed=3)
    each = []
    dropping(dropped)
    for number in range(10):
        torch.manual_seed(seed_of(3, "pass", number))
        each.append(dropped(images()).softmax(1))
    dropped.eval()
    assert torch.allclose(found, torch.stack(each).std(0), atol=1e-5)
    assert found.max() > 0.001


@torch.inference_mode()
def test_a_rebuilt_network_says_the_same_without_dropping(dropped: torch.nn.Module, teacher: Path) -> None:
    plain, _ = load_network(teacher)
    before = dropped.state_dict()["bn1.running_mean"].clone()
    assert torch.equal(plain(images()), dropped(images()))
    deviation(dropped, images(), 3, seed=0)
    assert torch.equal(plain(images()), dropped(images()))
    assert torch.equal(before, dropped.state_dict()["bn1.running_mean"])


@torch.inference_mode()
def test_normalisation_keeps_its_statistics_so_a_patch_does_not_depend_on_its_company() -> None:
    network = timm.create_model("test_resnet", num_classes=3, drop_rate=0.0)
    dropping(network)
    torch.manual_seed(0)
    together = network(images())
    alone = torch.cat([network(image[None]) for image in images()])
    assert torch.allclose(together, alone, atol=1e-4)


@torch.inference_mode()
def test_more_dropout_deviates_more(teacher: Path) -> None:
    network, card = load_network(teacher)
    means = []
    for rate in (0.1, 0.3, 0.7):
        section = PredictConfig(mc_passes=10, mc_dropout=rate)
        means.append(float(deviation(rebuilt(network, card, section), images(16), 30, seed=0).mean()))
    assert means == sorted(means)


def test_labels_are_those_without_passes_and_a_killed_labelling_ends_with_the_same_bytes(
    make_order: Order,
    tmp_path: Path,
    patches: dict[str, Path],
    teacher: Path,
    labelled_pool: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = {**patches, "teacher": teacher}
    whole = job(make_order, tmp_path / "whole", inputs, mc_passes=4)
    line = stage.run(whole)
    assert "4 passes with dropout" in line
    plain = read_scores(labelled_pool["predict"] / "scores.h5", "pool")
    found = read_scores(whole.out / "scores.h5", "pool")
    assert np.array_equal(plain.log_probs, found.log_probs)
    assert plain.deviation is None
    assert found.deviation is not None
    assert found.deviation.shape == found.log_probs.shape
    assert ((found.deviation >= 0) & (found.deviation <= 0.6)).all()
    assert found.deviation.max() > 0

    killed = job(make_order, tmp_path / "killed", inputs, mc_passes=4)
    write, written = Shards._write, []

    def dying(self: Shards, shard: int, values: Any) -> None:
        if len(written) == 2:
            raise KeyError("killed")
        write(self, shard, values)
        written.append(shard)

    with monkeypatch.context() as patched:
        patched.setattr(Shards, "_write", dying)
        with pytest.raises(KeyError):
            stage.run(killed)
    torch.manual_seed(12345)  # what other code drew in between must not matter
    stage.run(killed)
    assert (killed.out / "scores.h5").read_bytes() == (whole.out / "scores.h5").read_bytes()


class Deaf(torch.nn.Module):
    """A network that drops nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(3, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(image.mean((2, 3)))


def test_a_network_that_drops_nothing_is_refused_by_name() -> None:
    with pytest.raises(ChainError, match="mlp-without") as refusal:
        refuse_unmoved(Deaf(), 3, 24, "mlp-without")
    assert refusal.value.code == ExitCode.MISMATCH


def test_check_tells_before_hours_are_spent() -> None:
    kind = NetworkInput("rgb8", 24)
    section = TeacherConfig(backbone="test_resnet")
    assert check_dropout(section, PredictConfig(), 3, kind) == []
    assert "differ" in check_dropout(section, MC, 3, kind)[0]


@pytest.mark.parametrize("section", [{"mc_passes": 1}, {"mc_passes": 5, "mc_dropout": 0.0}, {"mc_passes": -1}])
def test_passes_that_cannot_deviate_are_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PredictConfig.model_validate(section)
