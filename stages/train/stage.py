"""The train stage: labels (and pseudo-labels) in, one finished model out. Resumes from its last checkpoint."""

import shutil
from typing import Any

from data.files.atomic import fsync_file, write_json
from data.keys import seed_of
from stages.job import Job
from stages.networks.create import save_weights
from stages.networks.ensemble import Ensemble
from stages.networks.snapshots import snapshot_name, snapshot_steps
from stages.process.device import backend, prepare
from stages.process.distributed import is_first, joined
from stages.process.progress import LOG
from stages.train.card import card_of, file_of
from stages.train.fitting import Desk, snapshot_at
from stages.train.measuring import measure
from stages.train.member import Trained, desks, keep, kept, train_member
from stages.train.task import Task, read_task


def run(job: Job) -> str:
    """Train the network of `job` and write model.safetensors, model.json, metrics.json and validation.h5.

    The last, only where there is a validation split, is what the finished model says of each of its patches. Beside
    them snapshot-1.safetensors, ... where earlier states are to be kept. An ensemble's networks are trained one after
    the other and written as model-0.safetensors, model-1.safetensors, ... Of several ranks the first one writes.
    """
    task = read_task(job)
    with joined(backend(job.hardware), job.hardware.hang_timeout_s):
        trained = train_all(job, task)
    if not is_first():
        return ""
    for i, one in enumerate(trained):
        save_weights(one.network, job.out / file_of(i, len(trained)))
    _publish_snapshots(job, task)
    stats = trained[0].stats
    model = trained[0].network
    if len(trained) > 1:
        model = Ensemble([one.network for one in trained], [one.stats for one in trained], stats).eval()
    card_of(task, trained).save(job.out / "model.json")
    validated = trained[0].validated if len(trained) == 1 else None  # of a member alone it says nothing of all
    metrics = measure(job, task, model, stats, validated) | {"history": trained[0].history}
    if len(trained) > 1:
        metrics["members"] = [{"backbone": one.section.backbone, "history": one.history} for one in trained]
    write_json(job.out / "metrics.json", metrics)
    return _summary(job, task, len(trained), metrics)


def train_all(job: Job, task: Task) -> list[Trained]:
    """Every member, the finished ones of an earlier attempt taken up."""
    sections, flags, found = task.members(), prepare(job.hardware), []
    at = desks(Desk(job.address, job.work, job.log, job.hardware.loggers), len(sections))
    for i, (section, desk) in enumerate(zip(sections, at, strict=True)):
        one = kept(task, section, desk) if len(sections) > 1 else None
        if one is not None:
            LOG.info(f"{desk.name}: already done")
        else:
            seed = seed_of(job.seed, job.address)
            seed = seed_of(seed, "member", i) if i else seed  # the first is the teacher that stands alone otherwise
            one = train_member(task, section, desk, seed, flags, job.hardware)
            if len(sections) > 1 and is_first():
                keep(one, desk)
        found.append(one)
    return found


def _publish_snapshots(job: Job, task: Task) -> None:
    steps = snapshot_steps(task.section.total_steps, task.section.snapshots)
    for place, step in enumerate(reversed(steps), start=1):
        shutil.copyfile(snapshot_at(job.work, step), job.out / snapshot_name(place))
        fsync_file(job.out / snapshot_name(place))


def _summary(job: Job, task: Task, count: int, metrics: dict[str, Any]) -> str:
    what = f"{task.section.total_steps:,} steps on {len(task.splits.labelled):,} labels"
    if task.kept is not None:
        what += f" and {len(task.kept):,} pseudo-labels"
    if count > 1:
        what = f"{count} networks, each {what}"
    judged = [f"{part} accuracy {metrics[part]['accuracy']:.3f}" for part in ("validation", "test") if metrics[part]]
    return f"{job.address}: {what}; {', '.join(judged) or 'nothing to judge it by'}"
