"""One network of a training, from its first weights to its last. A finished one is never trained again."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from data.errors import ChainError, ExitCode
from data.files.atomic import sha256_file, write_json
from data.keys import seed_of
from stages.job import Hardware
from stages.networks.create import create, first_network, network_kwargs, normalisation, save_weights
from stages.networks.input_size import feed_at
from stages.process.device import device_of, loader_workers
from stages.process.distributed import rank, world_size
from stages.process.sharded import is_sharded, whole
from stages.train.adjustment import adjust, refuse_without_bias, shift_of
from stages.train.config import StudentConfig, TeacherConfig
from stages.train.fitting import Desk, fit
from stages.train.module import Training
from stages.train.noise_check import check_noise
from stages.train.phases import Phase, phases_of, refuse_unfit
from stages.train.pieces import pieces_that_fit
from stages.train.share import Share
from stages.train.task import Task
from stages.train.warm import warm_network

Statistics = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Trained:
    """A finished network in eval mode, how its images are normalised, and its validations on the way.

    validated: what it says of each validation patch, (V, C) log-probabilities; None: not known any more, or no split.
    """

    section: TeacherConfig | StudentConfig
    kwargs: dict[str, Any]
    network: torch.nn.Module
    stats: Statistics
    history: list[dict[str, float]]
    validated: np.ndarray | None = None

    @property
    def input_px(self) -> int | None:
        """The size it is fed at, where that is not the patches'."""
        last = self.section.finetune if isinstance(self.section, StudentConfig) else None
        return last.size_px if last else None


def train_member(
    task: Task, section: TeacherConfig | StudentConfig, desk: Desk, seed: int, flags: dict[str, Any], hardware: Hardware
) -> Trained:
    """Train the network of `section`, going on from where an earlier attempt at the same desk was stopped.

    Raises ChainError: 3 when it diverges, 78 for what does not suit, 70 when noise is not what it must be.
    """
    torch.manual_seed(seed_of(seed, "init"))
    network, stats = _begun(task, section)
    phases = phases_of(section, task.images, task.given, task.pseudo, seed, hardware.noise_on == "device")
    strength = section.logit_adjustment
    shifts = [shift_of(phase.class_shares(), strength) for phase in phases] if strength else None
    if shifts is not None and _is_warm(section):
        # the teacher's own was taken off when its training was done: begin with what this training would come to
        adjust(network, -shifts[0])
    check_noise(phases, task.images, task.splits.validation.ids, desk.name, device_of(flags))
    _refuse_sliced_snapshots(task, section, hardware)
    kind = task.images.kind
    pieces = hardware.accumulate or pieces_that_fit(network, phases, kind, world_size(), flags, desk.name)
    share = Share(rank(), world_size(), pieces)
    for phase in phases:
        share.refuse_empty(sum(phase.counts), desk.name)
    given = task.splits.validation
    training = Training(
        network,
        section,
        phases,
        stats,
        desk.name,
        seed,
        loader_workers(hardware),
        (task.images, given.ids, given.label),
        share,
        shifts,
    )
    fit(desk, training, flags, section, hardware.strategy)
    kwargs = network_kwargs(section, len(task.splits.classes), kind)
    network = _put_together(training.finished(), section, kwargs, phases[-1], task.role)
    if shifts is not None:
        adjust(network, shifts[-1])
    return Trained(section, kwargs, network, stats, training.history, training.validated)


def _begun(task: Task, section: TeacherConfig | StudentConfig) -> tuple[torch.nn.Module, Statistics]:
    """The network with its first weights, and how its images are normalised. Draws from torch's global generator."""
    kind, classes = task.images.kind, len(task.splits.classes)
    if isinstance(section, StudentConfig) and section.warm_start:
        assert task.teacher is not None, "a student that begins warm is handed its teacher"
        network, stats = warm_network(section, classes, kind, task.teacher, task.role)
    else:
        network = first_network(section, classes, kind, task.role)
        stats = normalisation(section, kind, (list(task.splits.mean), list(task.splits.std)))
    if isinstance(section, StudentConfig):
        refuse_unfit(network, section.finetune, kind.size_px, f"{task.role}.finetune")
    refuse_without_bias(network, section.logit_adjustment, task.role)
    return network, stats


def _is_warm(section: TeacherConfig | StudentConfig) -> bool:
    return isinstance(section, StudentConfig) and bool(section.warm_start)


def _refuse_sliced_snapshots(task: Task, section: TeacherConfig | StudentConfig, hardware: Hardware) -> None:
    if hardware.strategy == "fsdp" and section.snapshots and world_size() > 1:
        raise ChainError(
            f"--strategy fsdp does not go with {task.role}.snapshots: {section.snapshots}",
            "no rank holds the whole weights to write them down on the way",
            f"use --strategy ddp, or set {task.role}.snapshots: 0",
            ExitCode.USAGE,
        )


def _put_together(
    network: torch.nn.Module, section: TeacherConfig | StudentConfig, kwargs: dict[str, Any], last: Phase, role: str
) -> torch.nn.Module:
    """A finished network whole, where ranks have held slices of it; all of them take part."""
    if not is_sharded(network):
        return network
    one = create(section.backbone, kwargs, f"{role}.backbone").eval()
    one.load_state_dict({name: whole(value) for name, value in network.state_dict().items()}, strict=True)
    feed_at(one, last.size_px)
    return one


def keep(trained: Trained, desk: Desk) -> None:
    """Put a finished member of an ensemble aside until the others are done."""
    path = desk.work / "model.safetensors"
    save_weights(trained.network, path)
    about = {"sha256": sha256_file(path), "stats": trained.stats, "history": trained.history}
    write_json(desk.work / "trained.json", about)


def kept(task: Task, section: TeacherConfig | StudentConfig, desk: Desk) -> Trained | None:
    """What `keep` put aside; None where it did not, or where it does not verify."""
    record, path = desk.work / "trained.json", desk.work / "model.safetensors"
    if not record.is_file() or not path.is_file():
        return None
    about = json.loads(record.read_text())
    if about["sha256"] != sha256_file(path):
        return None
    kwargs = network_kwargs(section, len(task.splits.classes), task.images.kind)
    network = create(section.backbone, kwargs, f"{task.role}.backbone")
    network.load_state_dict(load_file(path), strict=True)
    mean, std = about["stats"]
    return Trained(section, kwargs, network.eval(), (mean, std), about["history"])


def desks(desk: Desk, count: int) -> Sequence[Desk]:
    """One for each member; alone, a network works where it always did."""
    if count == 1:
        return [desk]
    # their own places are made by what is kept there; progress is shown before that, and is the stage's
    return [
        dataclasses.replace(
            desk,
            name=f"{desk.name} ({i + 1} of {count})",
            work=desk.work / f"member-{i}",
            log=desk.log / f"member-{i}",
            progress=desk.work,
        )
        for i in range(count)
    ]
