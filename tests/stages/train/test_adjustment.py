"""Logit adjustment: what is called is what a patch looks like most, however often each class was taught."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

from data.errors import ChainError, ExitCode
from data.images import Images
from data.splits.written import load_splits
from data.store.patch_store import PatchStore
from stages.predict import stage as predict
from stages.predict.config import PredictConfig
from stages.scores import read_scores
from stages.train import stage, task
from stages.train.adjustment import adjust, refuse_without_bias, shift_of
from stages.train.batches import Examples
from stages.train.config import StudentConfig, TeacherConfig
from stages.train.phases import phases_of
from tests.tiny import TINY

Order = Callable[..., Any]
LOOKS = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])  # how often each class looks like this, like that or like those


def test_a_network_that_knows_the_posterior_calls_what_each_patch_looks_like_most() -> None:
    shares = np.array([0.95, 0.05])
    logits = torch.from_numpy(np.log(shares[:, None] * LOOKS).T).float()  # of the posterior, but for a constant a look
    assert (logits.argmax(1) == 0).all()  # the rare class is never called
    assert torch.allclose(logits - shift_of(shares, 1.0), torch.from_numpy(np.log(LOOKS.T)).float(), atol=1e-6)


def test_it_is_so_many_logarithms_of_the_shares_and_nothing_for_a_class_that_is_not_taught() -> None:
    shares = np.array([0.5, 0.0, 0.5])
    assert shift_of(shares, 2.0).tolist() == pytest.approx([2 * np.log(0.5), 0, 2 * np.log(0.5)])
    assert not shift_of(shares, 0.0).any()


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "deit_tiny_distilled_patch16_224"])
def test_the_logits_of_a_network_change_by_it_and_nothing_else(name: str) -> None:
    network = timm.create_model(name, num_classes=3).eval()
    image = torch.randn(2, 3, *network.pretrained_cfg["input_size"][1:], generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([-0.5, 0.0, -2.0])
    with torch.inference_mode():
        before = network(image)
        adjust(network, shift)
        assert torch.allclose(network(image), before - shift, atol=1e-5)


def test_a_classifier_without_bias_is_refused_where_it_is_asked_for() -> None:
    network = torch.nn.Sequential()
    network.add_module("fc", torch.nn.Linear(4, 2, bias=False))
    network.pretrained_cfg = {"classifier": "fc"}  # type: ignore[assignment]
    refuse_without_bias(network, 0.0, "student")
    with pytest.raises(ChainError, match=r"student\.logit_adjustment: .* no bias") as caught:
        refuse_without_bias(network, 1.0, "student")
    assert caught.value.code == ExitCode.MISMATCH


def test_shares_are_those_of_the_loss(patches: dict[str, Path]) -> None:
    images = Images(PatchStore(patches["store"] / "patches.h5"))
    ids = load_splits(patches["splits"]).labelled.ids[:4]
    given = Examples(ids, np.eye(4, dtype=np.float32)[[0, 0, 0, 1]], np.ones(4, np.float32))
    soft = np.array([[0, 0.5, 0.5, 0], [0, 0, 1, 0]], np.float32)
    pseudo = Examples(ids[:2], soft, np.array([1, 0.5], np.float32), given=False)
    section = StudentConfig.model_validate(TINY | {"batch_size": 4, "unlabeled_ratio": 2.0})
    found = phases_of(section, images, given, pseudo, 0)[0].class_shares()
    # one part of given labels to two of pseudo-labels, of which the second weighs half
    wanted = np.array([0.75, 0.25, 0, 0]) + 2 * np.array([0, 0.25, 0.5, 0])
    assert found == pytest.approx(wanted / wanted.sum())


def test_what_labels_what_validates_and_what_is_kept_on_the_way_have_it(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One label of class 0, four of each other: with it class 0 is believed more, and nothing else is trained."""
    drawn = task.given_examples

    def one_of_class_0(*args: Any) -> Examples:
        found = drawn(*args)
        rows = np.setdiff1d(np.arange(len(found.ids)), np.flatnonzero(found.target.argmax(1) == 0)[1:])
        return Examples(found.ids[rows], found.target[rows], found.weight[rows])

    monkeypatch.setattr(task, "given_examples", one_of_class_0)
    weights, believed = [], []
    for strength in (0.0, 1.0):
        where = tmp_path / str(strength)
        section = TeacherConfig.model_validate(TINY | {"logit_adjustment": strength, "snapshots": 1})
        teacher = make_order("train", "teacher", where, section.model_dump(mode="json"), patches)
        stage.run(teacher)
        weights.append([load_file(teacher.out / f"{name}.safetensors") for name in ("model", "snapshot-1")])
        inputs = patches | {"teacher": teacher.out}
        labelling = make_order("predict", "predict", where, PredictConfig().model_dump(mode="json"), inputs)
        predict.run(labelling)
        believed.append(read_scores(labelling.out / "scores.h5", "pool").probs())
        metrics = json.loads((teacher.out / "metrics.json").read_text())
        assert metrics["history"][-1]["validation_nll"] == pytest.approx(metrics["validation"]["nll"], abs=1e-4)
    for without, with_it in zip(*weights, strict=True):
        moved = {name: with_it[name] - without[name] for name in without if not with_it[name].equal(without[name])}
        assert list(moved) == ["fc.bias"]
        assert moved["fc.bias"][0] - moved["fc.bias"][1] == pytest.approx(np.log(4), abs=1e-5)
    assert believed[1][:, 0].mean() > 2 * believed[0][:, 0].mean()
