"""Lightning at work on one network: checkpoints, resumption, curves, progress."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from data.files.disk import refuse_if_short
from stages.networks.create import save_weights
from stages.networks.snapshots import snapshot_steps
from stages.process import signals
from stages.process.device import in_ranks
from stages.process.distributed import first_says, is_first
from stages.process.memory import sizes_named
from stages.process.progress import LOG, StageProgress
from stages.train.adjustment import adjust
from stages.train.checkpoint import KEEP, WholeFiles, newest_verified
from stages.train.config import TrainConfig
from stages.train.depthwise import depthwise_in_full
from stages.train.loggers import loggers
from stages.train.module import LOG_EVERY, Training
from stages.train.stopping import StopBetweenSteps

TODO = "use --batch-size auto, or set batch_size lower"


@dataclass(frozen=True)
class Desk:
    """Where one network is trained. name: for people; work: kept until the stage is done; log: for people.

    progress: where `status` reads how far it is; None: in `work`.
    """

    name: str
    work: Path
    log: Path
    loggers: tuple[str, ...] = ()
    progress: Path | None = None


def fit(desk: Desk, training: Training, flags: dict[str, Any], section: TrainConfig, strategy: str = "ddp") -> None:
    """Train to the end, from the newest checkpoint that verifies. flags: of `stages.process.device.prepare`.

    strategy: of several ranks, ddp | fsdp.
    """
    checkpoints, total = desk.work / "checkpoints", section.total_steps
    newest = newest_verified(checkpoints) if is_first() else None
    begun = first_says(int(newest.stem.removeprefix("step-")) if newest else 0)
    newest = checkpoints / f"step-{begun:09d}.ckpt" if begun else None
    keep = ModelCheckpoint(
        dirpath=checkpoints,
        filename="step-{step:09d}",
        auto_insert_metric_name=False,
        save_top_k=-1,  # WholeFiles keeps the newest ones
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    if newest:
        LOG.info(f"{desk.name}: going on from step {begun:,} of {total:,} (verified)")
    flags = in_ranks(flags, strategy, training.frozen_later)
    refuse_if_short(desk.work, _checkpoint_bytes(training) * (KEEP + 1), f"{desk.name}: its checkpoints")
    shown = desk.progress or desk.work
    with StageProgress(desk.name, total, "steps", shown if is_first() else None, begun) as bar:
        trainer = pl.Trainer(
            **flags | {"plugins": [*flags["plugins"], WholeFiles()]},
            max_steps=total,
            accumulate_grad_batches=training.share.accumulate,
            max_epochs=-1,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            gradient_clip_val=section.clip_norm or None,
            log_every_n_steps=LOG_EVERY,
            logger=loggers(desk.log, desk.name, desk.loggers),
            callbacks=[
                StopBetweenSteps(checkpoints, total),
                _Shown(bar),
                keep,
                *([_Snapshots(section, desk.work)] if section.snapshots and is_first() else []),
            ],
        )
        with (
            sizes_named(desk.name, training.sizes, TODO),
            signals.between_batches(),
            depthwise_in_full(training.network, flags),
        ):
            trainer.fit(training, ckpt_path=newest, weights_only=True)
    assert training.global_step == total, f"stopped at step {training.global_step} of {total}"


def _checkpoint_bytes(training: Training) -> int:
    """Weights, their average, and AdamW's two moments."""
    every: int = sum(tensor.numel() * tensor.element_size() for tensor in training.state_dict().values())
    return every + 2 * sum(p.numel() * p.element_size() for p in training.network.parameters() if p.requires_grad)


class _Shown(pl.Callback):
    """Rate, remaining time, loss and validation on the terminal; a line in the log at each validation."""

    def __init__(self, bar: StageProgress) -> None:
        self.bar, self.patches = bar, 0

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.patches += len(batch.patch_id) * module.share.world
        if not module.stepped(batch_idx):
            return
        last = module.history[-1] if module.history else {}
        metric = f" validation {last['validation_accuracy']:.3f}" if "validation_accuracy" in last else ""
        self.bar.advance(1, f"loss {float(outputs['loss']):.3f}{metric}", self.patches)


class _Snapshots(pl.Callback):
    """Writes the averaged weights as they are at the beginning of certain steps, in `work` until the stage is done.

    A training that goes on from an earlier checkpoint writes the same bytes again.
    """

    def __init__(self, section: TrainConfig, work: Path) -> None:
        self.steps, self.work = snapshot_steps(section.total_steps, section.snapshots), work

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if module.global_step in self.steps:
            earlier = module.ema.module
            if module.shift is not None:
                earlier = copy.deepcopy(earlier)
                adjust(earlier, module.shift)
            save_weights(earlier, snapshot_at(self.work, module.global_step))


def snapshot_at(work: Path, step: int) -> Path:
    """Where the weights of that step wait."""
    return work / f"at-{step:09d}.safetensors"
