"""Two-phase students: each phase its own patches, one step counter, the same bytes however often it was killed."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from data.errors import ChainError, ExitCode
from data.splits.written import load_splits
from stages.networks.create import load_network
from stages.train import stage
from stages.train.adjustment import shift_of
from stages.train.batches import Batch
from stages.train.config import Finetune, StudentConfig, TeacherConfig
from stages.train.module import Training
from stages.train.phases import refuse_unfit
from stages.train.preflight import check_network
from tests.tiny import TINY

Order = Callable[..., Any]
TWO = TINY | {
    "schedule": "pretrain_finetune",
    "soft_labels": False,
    "drop_path": 0.0,
    "steps": 4,
    "finetune": {"steps": 3, "lr": 1e-4},
}


class Killed(BaseException):
    pass


@pytest.fixture
def inputs(patches: dict[str, Path], labelled_pool: dict[str, Path], teacher: Path) -> dict[str, Path]:
    return patches | labelled_pool | {"teacher": teacher}


def student(make_order: Order, where: Path, inputs: dict[str, Path], **keys: Any) -> Any:
    section = StudentConfig.model_validate_json(json.dumps(TWO | keys))
    return make_order("train", "rounds/00/student", where, section.model_dump(mode="json"), inputs)


def digests(directory: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir() if p.is_file()}


def watched(monkeypatch: pytest.MonkeyPatch, see: Callable[[Training, Batch], None]) -> None:
    step = Training.training_step

    def seen(self: Training, batch: Batch, batch_idx: int) -> torch.Tensor:
        see(self, batch)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Training, "training_step", seen)


def test_pseudo_labels_alone_then_given_labels_alone(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, set[int], float, int]] = []

    def see(training: Training, batch: Batch) -> None:
        ids = set(batch.patch_id.numpy().view(np.uint64).tolist())
        seen.append((training.global_step, ids, training._lr(), len(training.trainer.optimizers[0].state)))

    watched(monkeypatch, see)
    job = student(make_order, tmp_path, inputs)
    stage.run(job)
    splits = load_splits(inputs["splits"])
    given, pool = set(splits.labelled.ids.tolist()), set(splits.pool.tolist())
    assert [step for step, *_ in seen] == list(range(7))
    assert all(ids <= pool for step, ids, *_ in seen if step < 4)
    assert all(ids <= given for step, ids, *_ in seen if step >= 4)
    rates = [rate for *_, rate, _ in seen]
    assert max(rates[:4]) == pytest.approx(1e-3)
    assert max(rates[4:]) == pytest.approx(1e-4)
    assert [moments > 0 for *_, moments in seen] == [False, True, True, True, False, True, True]
    metrics = json.loads((job.out / "metrics.json").read_text())
    assert metrics["steps"] == 7
    assert [entry["step"] for entry in metrics["history"]] == [2, 4, 6, 7]


@pytest.mark.parametrize("kill_at", [1, 3, 4, 5, 6])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"schedule": "joint", "finetune": {"steps": 3, "size_px": 32, "frozen_stages": 1}},
        {"schedule": "joint", "warm_start": True, "logit_adjustment": 1.0},  # what it begins with is given once
    ],
)
def test_killed_in_either_phase_it_ends_with_the_same_bytes(
    make_order: Order,
    tmp_path: Path,
    inputs: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    kill_at: int,
    keys: dict[str, Any],
    plain: dict[str, dict[str, str]],
) -> None:
    name = json.dumps(keys)
    if name not in plain:
        whole = student(make_order, tmp_path / "plain", inputs, **keys)
        stage.run(whole)
        plain[name] = digests(whole.out)
    job = student(make_order, tmp_path / "killed", inputs, **keys)

    def die(training: Training, batch: Batch) -> None:
        if training.global_step == kill_at:
            raise Killed

    with monkeypatch.context() as patched:
        watched(patched, die)
        with pytest.raises(Killed):
            stage.run(job)
    torch.manual_seed(999)
    stage.run(job)
    assert digests(job.out) == plain[name]


@pytest.fixture(scope="module")
def plain() -> dict[str, dict[str, str]]:
    """Digests of uninterrupted trainings, by what is otherwise in their configuration."""
    return {}


def test_killed_after_the_last_checkpoint_it_is_still_fed_at_its_size(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"schedule": "joint", "finetune": {"steps": 2, "size_px": 40}}
    whole, job = (student(make_order, tmp_path / name, inputs, **keys) for name in ("whole", "killed"))
    stage.run(whole)
    with monkeypatch.context() as patched:
        patched.setattr(stage, "measure", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            stage.run(job)
    stage.run(job)
    assert digests(job.out) == digests(whole.out)


def test_the_last_phase_is_larger_and_shallow_layers_rest(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[int] = []
    states: dict[int, dict[str, torch.Tensor]] = {}

    def see(training: Training, batch: Batch) -> None:
        stem = training.network.get_submodule("conv1.0")
        stem.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape[-1]))
        states[training.global_step] = {k: v.clone() for k, v in training.network.state_dict().items()}

    watched(monkeypatch, see)
    job = student(
        make_order, tmp_path, inputs, schedule="joint", finetune={"steps": 3, "size_px": 40, "frozen_stages": 2}
    )
    stage.run(job)
    before, after = states[4], states[6]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    frozen = {n for n in before if n.startswith(("conv1", "bn1", "layer1", "layer2"))}
    assert not changed & frozen, "frozen layers, or their running statistics, moved"
    assert {n for n in before if n.startswith(("layer4", "fc"))} <= changed
    assert shapes[0] == 24
    assert shapes[-1] == 40
    network, card = load_network(job.out)
    assert (card.size_px, card.input_px) == (24, 40)
    assert "enlarge bilinearly to 40 x 40 px" in card.input
    image = torch.rand(2, 3, 24, 24)
    by_hand = timm.create_model(card.name, **card.timm_kwargs)
    by_hand.load_state_dict(network.state_dict())
    larger = torch.nn.functional.interpolate(image, (40, 40), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        assert torch.allclose(network(image), by_hand.eval()(larger), atol=1e-5)


def test_the_second_phase_draws_other_noise_at_the_same_places(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    views: dict[int, set[bytes]] = {}

    def see(training: Training, batch: Batch) -> None:
        key = int(training.global_step >= 4)
        views.setdefault(key, set()).update(image.numpy().tobytes() for image in batch.image[batch.labelled])

    watched(monkeypatch, see)
    strong = {"steps": 4, "noise": "strong"}
    stage.run(student(make_order, tmp_path, inputs, schedule="joint", finetune=strong))
    assert len(views[0]) == len(views[1]) == 32
    assert not views[0] & views[1]


def test_a_warm_student_begins_where_its_teacher_is(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, torch.Tensor] = {}

    def see(training: Training, batch: Batch) -> None:
        if not first:
            first.update({name: tensor.clone() for name, tensor in training.network.state_dict().items()})

    watched(monkeypatch, see)
    stage.run(student(make_order, tmp_path, inputs, warm_start=True))
    own = load_network(inputs["teacher"])[0].state_dict()
    assert all(torch.equal(first[name], own[name]) for name in own)


def test_a_warm_student_whose_classifier_is_adjusted_begins_with_what_is_taken_off_again(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[tuple[torch.Tensor, torch.Tensor]] = []

    def see(training: Training, batch: Batch) -> None:
        if not first and training.shift is not None:
            first.append((training.network.get_classifier().bias.detach().clone(), training.shift))

    watched(monkeypatch, see)
    stage.run(student(make_order, tmp_path, inputs, warm_start=True, logit_adjustment=1.0))
    own = load_network(inputs["teacher"])[0].get_classifier().bias
    assert first[0][1].any()
    assert torch.allclose(first[0][0], own + first[0][1])


def test_each_phase_owes_to_the_shares_of_what_it_taught(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[torch.Tensor] = []
    seen: dict[int, torch.Tensor | None] = {}
    taught: list[torch.Tensor] = []

    def see(training: Training, batch: Batch) -> None:
        seen[training.global_step] = training.shift
        taught[:] = [shift_of(phase.class_shares(), 1.0) for phase in training.phases]
        if not begun:
            begun.append(training.network.get_classifier().bias.detach().clone())

    watched(monkeypatch, see)
    stage.run(student(make_order, tmp_path, inputs, warm_start=True, logit_adjustment=1.0))
    first, last = taught
    assert not torch.allclose(first, last)
    for step, shift in seen.items():  # four steps of the first phase, and what they made is what the fifth finds
        assert shift is not None
        torch.testing.assert_close(shift, first if step <= 4 else last)
    torch.testing.assert_close(begun[0], load_network(inputs["teacher"])[0].get_classifier().bias.detach() + first)


def test_later_is_from_the_second_round_on() -> None:
    section = StudentConfig.model_validate_json('{"warm_start": "later", "init": {"kind": "full"}}')
    rounds = [section.of_round(number) for number in range(3)]
    assert [(one.warm_start, one.init.kind) for one in rounds] == [(False, "full"), (True, "random"), (True, "random")]
    # a stage reads what it is handed as any other section
    assert StudentConfig.model_validate_json(rounds[1].model_dump_json()) == rounds[1]
    warm = StudentConfig(warm_start=True)
    assert warm.of_round(0) == warm


def test_a_student_is_fresh_unless_told_otherwise(make_order: Order, tmp_path: Path, inputs: dict[str, Path]) -> None:
    assert not StudentConfig().warm_start
    job = student(make_order, tmp_path, inputs, backbone="test_efficientnet", warm_start=True)
    with pytest.raises(ChainError, match=r"student\.warm_start: test_efficientnet cannot take over") as caught:
        stage.run(job)
    assert caught.value.code == ExitCode.MISMATCH


@pytest.mark.parametrize(
    ("backbone", "last", "match"),
    [
        ("test_vit", {"size_px": 224}, "this backbone"),
        ("test_resnet", {"size_px": 24}, "never at a smaller one"),
        ("test_resnet", {"frozen_stages": 9}, "has 4 stages, not 9"),
    ],
)
def test_what_a_last_phase_cannot_do_is_refused_before_hours_are_spent(
    backbone: str, last: dict[str, int], match: str
) -> None:
    network = timm.create_model(backbone, num_classes=2)
    with pytest.raises(ChainError) as caught:
        refuse_unfit(network, Finetune(**last), 32, "student.finetune")
    assert match in f"{caught.value.what} {caught.value.why}"
    assert caught.value.code == ExitCode.MISMATCH


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"schedule": "pretrain_finetune"}, "needs the second phase"),
        ({"warm_start": True, "init": {"kind": "full"}}, "leave one of them out"),
        ({"warm_start": "later", "init": {"kind": "frozen"}}, "init.kind: frozen also says what is trained"),
        ({"snapshots": 2, "finetune": {"size_px": 64}}, "leave one of them out"),
    ],
)
def test_keys_that_do_not_go_together(keys: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        StudentConfig.model_validate_json(json.dumps(keys))


def test_check_says_what_is_trained() -> None:
    from data.pixels.network_input import NetworkInput

    kind = NetworkInput("rgb8", 48)
    assert check_network(TeacherConfig(backbone="test_resnet", seeds=3), 2, kind) == [
        "teacher: test_resnet, 0.4 M parameters, random weights, from 3 seeds"
    ]
