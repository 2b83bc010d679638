"""What a finished model says of validation, test, and of what it was taught: metrics.json and validation.h5."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from data.labels import GivenLabels
from stages import quality
from stages.job import Job
from stages.judged import Judged, groups_of, write_judged
from stages.predict.folding import folded
from stages.predict.scoring import score_all
from stages.train.task import Task

DISAGREEMENT_SAMPLE = 20_000
Statistics = tuple[list[float], list[float]]


def measure(job: Job, task: Task, model: torch.nn.Module, stats: Statistics) -> dict[str, Any]:
    """The figures of metrics.json; writes validation.h5 where there is a validation split. model: in eval mode."""
    scorer = folded(model)

    def log_probs(ids: np.ndarray) -> np.ndarray:
        size = 4 * task.section.batch_size
        return score_all(scorer, *stats, task.images, ids, views=1, batch_size=size, hardware=job.hardware)

    def judged(given: GivenLabels) -> tuple[np.ndarray, dict[str, Any] | None]:
        if len(given) == 0:
            return np.empty((0, len(task.splits.classes))), None
        scores = log_probs(given.ids)
        return scores, quality.evaluate(scores, given.label, list(task.splits.classes))

    given = task.splits.validation
    scores, validation = judged(given)
    if validation is not None:
        group = groups_of(task.images.store.table(), given.ids)
        write_judged(job.out, Judged(given.ids, scores.astype(np.float32), given.label, group))
    return {
        "validation": validation,
        "test": judged(task.splits.test)[1],
        "disagreement": disagreement(task, log_probs) if task.kept is not None else None,
        "steps": task.section.total_steps,
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def disagreement(task: Task, log_probs: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """On how many kept patches the finished student, shown the clean patch, says otherwise than it was taught."""
    kept = task.kept
    assert kept is not None
    rows = np.arange(len(kept.ids))
    if len(rows) > DISAGREEMENT_SAMPLE:  # an even share of the table, which is ordered by id, so by a hash
        rows = rows[:: -(-len(rows) // DISAGREEMENT_SAMPLE)]
    said = log_probs(kept.ids[rows]).argmax(1)
    differs = said != kept.label[rows]
    per_class = {
        name: float(differs[kept.label[rows] == k].mean()) if (kept.label[rows] == k).any() else None
        for k, name in enumerate(task.splits.classes)
    }
    return {"n": len(rows), "total": float(differs.mean()), "per_class": per_class}
