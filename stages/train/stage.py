"""The train stage: labels (and pseudo-labels) in, one finished model out. Resumes from its last checkpoint."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from data.atomic import fsync_file, write_json
from data.images import Images, drawer
from data.keys import seed_of
from data.labels import GivenLabels
from data.splits import Splits, load_splits
from data.stain_normaliser import load_normaliser
from data.store import PatchStore
from stages import quality
from stages.device import loader_workers, prepare
from stages.job import Job
from stages.judged import Judged, groups_of, write_judged
from stages.model_card import ModelCard, input_words
from stages.networks import first_network, network_kwargs, normalisation, save_weights
from stages.predict.scoring import score_all
from stages.progress import LOG, StageProgress
from stages.scores import read_scores
from stages.select.belief import Belief
from stages.select.negatives import Negatives, read_negatives
from stages.select.selection import Selection, read_selection
from stages.snapshots import snapshot_name, snapshot_steps
from stages.train.batches import Examples, TrainingPatches
from stages.train.checkpoint import KEEP, WholeFiles, newest_verified
from stages.train.config import StudentConfig, TeacherConfig, TrainConfig
from stages.train.loggers import loggers
from stages.train.module import Training

DISAGREEMENT_SAMPLE = 20_000


def run(job: Job) -> str:
    """Train the network of `job` and write model.safetensors, model.json, metrics.json and validation.h5.

    The last, only where there is a validation split, is what the finished model says of each of its patches. Beside
    them snapshot-1.safetensors, ... where earlier states are to be kept.
    """
    plan = _read(job)
    seed = seed_of(job.seed, job.address)
    trainer_flags = prepare(job.hardware)
    torch.manual_seed(seed_of(seed, "init"))
    role = "student" if plan.pseudo else "teacher"
    kind = plan.images.kind
    network = first_network(plan.section, len(plan.splits.classes), kind, role)
    stats = normalisation(plan.section, kind, (list(plan.splits.mean), list(plan.splits.std)))
    training = Training(
        network,
        plan.section,
        TrainingPatches(plan.images, plan.streams, drawer(plan.section.noise, kind), seed),
        plan.counts,
        stats,
        job.address,
        seed,
        loader_workers(job.hardware),
        (plan.images, plan.splits.validation.ids, plan.splits.validation.label),
    )
    _fit(job, training, trainer_flags, plan.section)
    model = training.ema.module.eval()
    save_weights(model, job.out / "model.safetensors")
    _publish_snapshots(job, plan.section)
    _card(plan, stats).save(job.out / "model.json")
    metrics = _measure(job, plan, model, stats, training.history)
    write_json(job.out / "metrics.json", metrics)
    return _summary(job, plan, metrics)


@dataclass(frozen=True)
class _Plan:
    section: TrainConfig
    splits: Splits
    images: Images
    streams: list[Examples]
    counts: list[int]
    pseudo: Selection | None


def _read(job: Job) -> _Plan:
    splits = load_splits(job.inputs["splits"])
    store = PatchStore(job.inputs["store"] / "patches.h5")
    images = Images(store, load_normaliser(job.inputs["splits"], store))
    text = json.dumps(job.section)
    if "select" not in job.inputs:
        teacher = TeacherConfig.model_validate_json(text)
        streams = [given_examples(splits.labelled, len(splits.classes), teacher.label_smoothing)]
        return _Plan(teacher, splits, images, streams, [teacher.batch_size], None)
    student = StudentConfig.model_validate_json(text)
    selection = read_selection(job.inputs["select"] / "selection.parquet")
    pool = read_scores(job.inputs["predict"] / "scores.h5", "pool")
    soft = Belief.load(job.inputs["select"]).of(pool) if student.soft_labels else None
    streams = [
        given_examples(splits.labelled, len(splits.classes), student.label_smoothing),
        pseudo_examples(selection, len(splits.classes), pool.ids, soft, read_negatives(job.inputs["select"])),
    ]
    counts = [student.batch_size, max(1, round(student.batch_size * student.unlabeled_ratio))]
    return _Plan(student, splits, images, streams, counts, selection)


def given_examples(given: GivenLabels, classes: int, smoothing: float) -> Examples:
    """Given labels as target distributions; smoothing belongs to them alone, never to soft pseudo-labels."""
    target = np.full((len(given), classes), smoothing / classes, np.float32)
    target[np.arange(len(given)), given.label] += 1 - smoothing
    return Examples(given.ids, target, np.ones(len(given), np.float32))


def pseudo_examples(
    kept: Selection,
    classes: int,
    pool_ids: np.ndarray,
    soft: np.ndarray | None,
    negatives: Negatives | None = None,
) -> Examples:
    """Kept patches as target distributions, each as often as its copies; once each, those that only have negatives.

    soft: (P, C) believed probabilities in the order of pool_ids (P,), or None for hard labels.
    Joined by patch id, never by position.
    """
    rows = np.repeat(np.arange(len(kept.ids)), kept.copies)
    if soft is None:
        target = np.zeros((len(rows), classes), np.float32)
        target[np.arange(len(rows)), kept.label[rows]] = 1
    else:
        at = np.searchsorted(pool_ids, kept.ids[rows])
        assert np.array_equal(pool_ids[at], kept.ids[rows]), "a kept patch is not in the pool"
        target = soft[at].astype(np.float32)
    ids, weight = kept.ids[rows], kept.weight[rows].astype(np.float32)
    if negatives is None or not len(negatives):
        return Examples(ids, target, weight)
    only = np.setdiff1d(negatives.ids, ids)
    ids = np.concatenate([ids, only])
    target = np.concatenate([target, np.zeros((len(only), classes), np.float32)])
    known, of = np.unique(negatives.ids, return_inverse=True)
    told = np.zeros((len(known) + 1, classes), bool)  # the spare row is of patches without any
    told[of, negatives.label] = True
    at = np.searchsorted(known, ids)
    at[known[np.minimum(at, len(known) - 1)] != ids] = len(known)
    return Examples(ids, target, np.concatenate([weight, np.ones(len(only), np.float32)]), told[at])


def _fit(job: Job, training: Training, flags: dict[str, Any], section: TrainConfig) -> None:
    checkpoints = job.work / "checkpoints"
    newest = newest_verified(checkpoints)
    keep = ModelCheckpoint(
        dirpath=checkpoints,
        filename="step-{step:09d}",
        auto_insert_metric_name=False,
        monitor="step",
        mode="max",
        save_top_k=KEEP,
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    begun = int(newest.stem.removeprefix("step-")) if newest else 0
    if newest:
        LOG.info(f"{job.address}: going on from step {begun:,} of {section.steps:,} (verified)")
    with StageProgress(job.address, section.steps, "steps", job.work, begun) as bar:
        trainer = pl.Trainer(
            **flags | {"plugins": [*flags["plugins"], WholeFiles()]},
            max_steps=section.steps,
            max_epochs=-1,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            gradient_clip_val=section.clip_norm or None,
            log_every_n_steps=10,
            logger=loggers(job.log, job.address, job.hardware.loggers),
            callbacks=[_Shown(bar), keep, *([_Snapshots(section, job.work)] if section.snapshots else [])],
        )
        trainer.fit(training, ckpt_path=newest, weights_only=True)
    assert training.global_step == section.steps, f"stopped at step {training.global_step} of {section.steps}"


class _Shown(pl.Callback):
    """Rate, remaining time, loss and validation on the terminal; a line in the log at each validation."""

    def __init__(self, bar: StageProgress) -> None:
        self.bar, self.patches = bar, 0

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.patches += len(batch.patch_id)
        last = module.history[-1] if module.history else {}
        metric = f" validation {last['validation_accuracy']:.3f}" if "validation_accuracy" in last else ""
        self.bar.advance(1, f"loss {float(outputs['loss']):.3f}{metric}", self.patches)


class _Snapshots(pl.Callback):
    """Writes the averaged weights as they are at the beginning of certain steps, in `work` until the stage is done.

    A training that goes on from an earlier checkpoint writes the same bytes again.
    """

    def __init__(self, section: TrainConfig, work: Path) -> None:
        self.steps, self.work = snapshot_steps(section.steps, section.snapshots), work

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if module.global_step in self.steps:
            save_weights(module.ema.module, self.work / f"at-{module.global_step:09d}.safetensors")


def _publish_snapshots(job: Job, section: TrainConfig) -> None:
    for place, step in enumerate(reversed(snapshot_steps(section.steps, section.snapshots)), start=1):
        shutil.copyfile(job.work / f"at-{step:09d}.safetensors", job.out / snapshot_name(place))
        fsync_file(job.out / snapshot_name(place))


def _card(plan: _Plan, stats: tuple[list[float], list[float]]) -> ModelCard:
    kind, section, stain = plan.images.kind, plan.section, plan.images.stain
    return ModelCard(
        name=section.backbone,
        timm_kwargs=network_kwargs(section, len(plan.splits.classes), kind),
        classes=list(plan.splits.classes),
        size_px=kind.size_px,
        mode=kind.mode,
        mean=stats[0],
        std=stats[1],
        weights="averaged over steps (EMA)" if section.ema_decay else "of the last step",
        input=input_words(section.backbone, kind, stain is not None),
        **kind.plain(),
        stain=None if stain is None else stain.card(),
    )


def _measure(
    job: Job,
    plan: _Plan,
    model: torch.nn.Module,
    stats: tuple[list[float], list[float]],
    history: list[dict[str, float]],
) -> dict[str, Any]:
    def log_probs(ids: np.ndarray) -> np.ndarray:
        size = 4 * plan.section.batch_size
        return score_all(model, *stats, plan.images, ids, views=1, batch_size=size, hardware=job.hardware)

    def judged(given: GivenLabels) -> tuple[np.ndarray, dict[str, Any] | None]:
        if len(given) == 0:
            return np.empty((0, len(plan.splits.classes))), None
        scores = log_probs(given.ids)
        return scores, quality.evaluate(scores, given.label, list(plan.splits.classes))

    given = plan.splits.validation
    scores, validation = judged(given)
    if validation is not None:
        group = groups_of(plan.images.store.table(), given.ids)
        write_judged(job.out, Judged(given.ids, scores.astype(np.float32), given.label, group))
    return {
        "validation": validation,
        "test": judged(plan.splits.test)[1],
        "disagreement": _disagreement(plan, log_probs) if plan.pseudo else None,
        "steps": plan.section.steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "history": history,
    }


def _disagreement(plan: _Plan, log_probs: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """On how many kept patches the finished student, shown the clean patch, says otherwise than it was taught."""
    kept = plan.pseudo
    assert kept is not None
    rows = np.arange(len(kept.ids))
    if len(rows) > DISAGREEMENT_SAMPLE:  # an even share of the table, which is ordered by id, so by a hash
        rows = rows[:: -(-len(rows) // DISAGREEMENT_SAMPLE)]
    said = log_probs(kept.ids[rows]).argmax(1)
    differs = said != kept.label[rows]
    per_class = {
        name: float(differs[kept.label[rows] == k].mean()) if (kept.label[rows] == k).any() else None
        for k, name in enumerate(plan.splits.classes)
    }
    return {"n": len(rows), "total": float(differs.mean()), "per_class": per_class}


def _summary(job: Job, plan: _Plan, metrics: dict[str, Any]) -> str:
    what = f"{plan.section.steps:,} steps on {len(plan.splits.labelled):,} labels"
    if plan.pseudo is not None:
        what += f" and {len(plan.pseudo):,} pseudo-labels"
    judged = [f"{part} accuracy {metrics[part]['accuracy']:.3f}" for part in ("validation", "test") if metrics[part]]
    return f"{job.address}: {what}; {', '.join(judged) or 'nothing to judge it by'}"
