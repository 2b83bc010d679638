"""A training on two devices is the training on one, within the order of floating-point sums.

Tolerances: gradients of one step, in float64, within 1e-11 of the largest. After a training in float32 every loss and
validation figure within 2e-3, every log-probability within 1e-2, and no predicted class another: AdamW divides by the
size of a gradient, so where that is next to nothing the order of a sum becomes a step.
"""

import contextlib
import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from data.errors import ChainError, ExitCode
from stages.job import Hardware
from stages.measures.judged import read_judged
from stages.process.distributed import joined, rank, summed
from stages.train import stage
from stages.train.batches import Steps
from stages.train.config import StudentConfig
from stages.train.module import Training
from stages.train.share import Share
from stages.train.whole_batch import WholeBatch
from tests.ranks import in_ranks
from tests.tiny import TINY

Order = Callable[..., Any]
# batch norm, dropout and stochastic depth; then a batch that does not divide, in two phases, the second frozen in
# part; then pieces on each rank, of a network without statistics of batches, and validation for one rank only
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "even": (1, {"snapshots": 1}),
    "sharded": (1, {"finetune": {"steps": 2, "frozen_stages": 1, "size_px": 32}, "steps": 4, "logit_adjustment": 1.0}),
    "uneven": (1, {"batch_size": 5, "steps": 4, "finetune": {"steps": 2, "frozen_stages": 1}}),
    "pieces": (3, {"backbone": "test_efficientnet_gn", "batch_size": 17, "unlabeled_ratio": 1, "evaluate_every": 6}),
}


def student(
    make_order: Order,
    where: Path,
    inputs: dict[str, Path],
    accumulate: int = 1,
    strategy: str = "ddp",
    **keys: Any,
) -> Any:
    section = StudentConfig.model_validate(TINY | {"unlabeled_ratio": 2, "drop_path": 0.2, "dropout": 0.2} | keys)
    job = make_order("train", "rounds/00/student", where, section.model_dump(mode="json"), inputs)
    return dataclasses.replace(
        job, hardware=Hardware(device="cpu", threads=1, accumulate=accumulate, strategy=strategy)
    )


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_train_what_one_trains(
    name: str, make_order: Order, tmp_path: Path, patches: dict[str, Path], labelled_pool: dict[str, Path]
) -> None:
    accumulate, keys = CASES[name]
    one = student(make_order, tmp_path / "one", patches | labelled_pool, **keys)
    strategy = "fsdp" if name == "sharded" else "ddp"
    two = student(make_order, tmp_path / "two", patches | labelled_pool, accumulate, strategy, **keys)
    stage.run(one)
    if name == "sharded":  # whole moments are cut again after a kill
        in_ranks(2, lambda: killed_at(3, two), tmp_path / "killed")
    in_ranks(2, lambda: stage.run(two), tmp_path / "log")
    assert {path.name for path in two.out.iterdir()} == {path.name for path in one.out.iterdir()}
    alone, dealt = (json.loads((job.out / "metrics.json").read_text())["history"] for job in (one, two))
    assert [entry["step"] for entry in dealt] == [entry["step"] for entry in alone]
    for before, after in zip(alone, dealt, strict=True):
        assert after == pytest.approx(before, abs=2e-3)
    expected, found = read_judged(one.out), read_judged(two.out)
    assert expected is not None
    assert found is not None
    assert np.array_equal(found.predicted, expected.predicted)
    assert np.abs(found.log_probs - expected.log_probs).max() < 1e-2


class KilledError(Exception):
    pass


def killed_at(at: int, job: Any) -> None:
    step = Training.training_step

    def dying(self: Training, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == at:
            raise KilledError
        return step(self, batch, batch_idx)

    Training.training_step = dying  # type: ignore[method-assign]  # in a forked rank, which ends after it
    with pytest.raises(KilledError):
        stage.run(job)


def test_gradients_of_two_ranks_are_those_of_one(tmp_path: Path) -> None:
    total, steep = 7, 2.0  # a batch that does not divide; the loss is a sum over patches, times so much
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=3, drop_path_rate=0.3, drop_rate=0.3).double().train()
    image, label = torch.rand(total, 3, 24, 24, dtype=torch.float64), torch.arange(total) % 3

    def gradients(places: range, mode: contextlib.AbstractContextManager[object]) -> list[torch.Tensor]:
        copied = copy.deepcopy(network)
        torch.manual_seed(1)  # as every rank does at every step
        with mode:
            logits = copied(image[places.start : places.stop : places.step])
        own = label[places.start : places.stop : places.step]
        (steep * torch.nn.functional.cross_entropy(logits, own, reduction="sum")).backward()
        running = [buffer.double() for buffer in copied.buffers()]
        return [p.grad for p in copied.parameters() if p.grad is not None] + running

    whole = gradients(range(total), contextlib.nullcontext())

    def rank_s_part() -> None:
        with joined("gloo", 60):
            places = Share(rank(), 2).places(total, 0)
            own = gradients(places, WholeBatch(places, total, 2))
            parameters = len(list(network.parameters()))
            found = [summed(g) for g in own[:parameters]] + own[parameters:]  # statistics are the same on every rank
            largest = max(float(g.abs().max()) for g in whole)
            for before, after in zip(whole, found, strict=True):
                assert float((after - before).abs().max()) < 1e-11 * largest

    in_ranks(2, rank_s_part, tmp_path / "log")


@pytest.mark.parametrize("share", [(2, 1), (3, 2), (1, 4), (7, 1)])
def test_every_patch_of_a_step_is_dealt_once_and_parts_are_alike(share: tuple[int, int]) -> None:
    world, accumulate = share
    sizes, counts = [10, 23], [6, 11]
    alone = list(Steps(sizes, counts, 0, 3, 6))
    ranks = [list(Steps(sizes, counts, 0, 3, 6, Share(rank, world, accumulate))) for rank in range(world)]
    for number, whole in enumerate(alone):
        parts = [own[number * accumulate + piece] for own in ranks for piece in range(accumulate)]
        assert sorted(item for part in parts for item in part) == sorted(whole)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(len(own) == 3 * accumulate for own in ranks)


@pytest.mark.parametrize("size", range(1, 18))
def test_ranks_take_as_many_steps_whatever_the_number_of_patches(size: int) -> None:
    alone = list(Steps([size], [4], 0, 0, 5))
    ranks = [list(Steps([size], [4], 0, 0, 5, Share(rank, 2))) for rank in range(2)]
    assert [len(own) for own in ranks] == [5, 5]
    for number, whole in enumerate(alone):
        assert sorted(item for own in ranks for item in own[number]) == sorted(whole)


def test_more_devices_than_patches_are_refused(make_order: Order, tmp_path: Path, patches: dict[str, Path]) -> None:
    job = student(make_order, tmp_path, patches, accumulate=9, batch_size=8)
    job = dataclasses.replace(job, section={k: v for k, v in job.section.items() if k in TEACHERS})
    with pytest.raises(ChainError) as caught:
        stage.run(job)
    assert caught.value.code == ExitCode.USAGE
    assert "a step has 8 patches, too few for 9 parts" in caught.value.what


TEACHERS = {"backbone", "steps", "evaluate_every", "batch_size"}


def test_draws_are_rows_of_the_whole_batch_s() -> None:
    image, network = torch.rand(7, 4), torch.nn.Dropout(0.5)
    torch.manual_seed(3)
    whole = network(image)
    for part in range(2):
        torch.manual_seed(3)
        places = Share(part, 2).places(7, 0)
        with WholeBatch(places, 7, ranks=1):
            assert torch.equal(network(image[part::2]), whole[part::2])
