"""Licences: of the weights a network began with, through its labels, to the student that learns them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import save_file

from data.errors import ChainError, ExitCode
from data.section import content_digest
from stages.networks.create import load_network
from stages.networks.init.config import Init
from stages.networks.licences import Licence, licences_of, load, save, together
from stages.networks.model_card import ModelCard
from stages.predict import stage as predict
from stages.predict.config import PredictConfig
from stages.select import stage as select
from stages.select.wording import licences_said
from stages.train import stage as train
from stages.train.config import StudentConfig, TeacherConfig
from tests.tiny import TINY

Order = Callable[..., Any]
OURS = {"backbone": "test_efficientnet"}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_file(timm.create_model("test_efficientnet").state_dict(), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def test_random_weights_have_none_and_what_timm_fetches_has_what_timm_says() -> None:
    assert licences_of("resnet50", Init()) == []
    known = timm.models.get_pretrained_cfg("resnet50")
    assert licences_of("resnet50", Init(kind="full")) == [Licence(known.hf_hub_id, known.license)]
    assert known.license == "apache-2.0"
    assert licences_of("resnet50", Init(kind="full", licence="mine"))[0].licence == "mine"
    assert licences_of("torchvision/r3d_18", Init(kind="full")) == [Licence("torchvision/r3d_18", None)]


def test_a_file_is_named_by_its_content_wherever_it_lies(weights: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes(weights.read_bytes())
    of = [licences_of("test_efficientnet", Init(kind="full", path=path)) for path in (weights, moved)]
    assert of[0] == of[1] == [Licence(content_digest(weights), None)]


def test_a_licence_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="random weights have no licence"):
        Init(licence="cc-by-nc-nd-4.0")


def test_each_stands_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    a, b, c = Licence("w1", "x"), Licence("w1", None), Licence("w0", "y")
    assert together([a, b], [a], [c]) == together([c, a], [b]) == [c, b, a]
    save([a, b], tmp_path)
    assert load(tmp_path) == [a, b]
    (tmp_path / "licences.json").write_text('[{"weights": "w"}]')
    with pytest.raises(ChainError) as caught:
        load(tmp_path)
    assert caught.value.code == ExitCode.DAMAGED


def test_they_go_with_the_labels_and_with_the_student_that_learns_them(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], weights: Path
) -> None:
    """The student's own weights are random: what it descends from it has from those that labelled for it."""
    init = {"kind": "full", "path": str(weights), "licence": "cc-by-nc-nd-4.0"}
    section = TeacherConfig.model_validate_json(json.dumps(TINY | OURS | {"steps": 2, "init": init}))
    first = make_order("train", "rounds/00/teacher", tmp_path, section.model_dump(mode="json"), patches)
    train.run(first)
    theirs = Licence(content_digest(weights), "cc-by-nc-nd-4.0")
    assert ModelCard.load(first.out / "model.json").licences == [theirs]
    assert load_network(first.out)[1].licences == [theirs]

    encoder = {"backbone": "test_efficientnet", "init": {"kind": "full", "path": str(weights)}}
    asked = PredictConfig.model_validate_json(json.dumps({"encoder": encoder})).model_dump(mode="json")
    second = make_order("predict", "rounds/00/predict", tmp_path, asked, {**patches, "teacher": first.out})
    predict.run(second)
    both = together([theirs, Licence(theirs.weights, None)])
    assert load(second.out) == both

    inputs = {**patches, "predict": second.out}
    third = make_order("select", "rounds/00/select", tmp_path, {"rule": "top_k", "k": 5}, inputs)
    select.run(third)
    found = json.loads((third.out / "quality.json").read_text())["licences"]
    short = theirs.weights[: len("sha256:") + 12]
    assert licences_said(found) == f"not stated ({short}), cc-by-nc-nd-4.0 ({short})"

    taught = {**inputs, "select": third.out, "teacher": first.out}
    for warm, network in ((False, {}), (True, OURS)):
        keys = TINY | network | {"steps": 2, "warm_start": warm, "drop_path": 0.0}
        section = StudentConfig.model_validate_json(json.dumps(keys))
        job = make_order("train", "rounds/00/student", tmp_path / str(warm), section.model_dump(mode="json"), taught)
        train.run(job)
        assert ModelCard.load(job.out / "model.json").licences == both
