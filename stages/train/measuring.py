"""What a finished model says of validation, test, and of what it was taught: metrics.json and validation.h5."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from data.patches.labels import GivenLabels
from stages.job import Job
from stages.measures import quality
from stages.measures.judged import Judged, groups_of, write_judged
from stages.predict.folding import folded
from stages.predict.scoring import score_all
from stages.train.task import Task

LOOKED_AT = 200  # kept patches a class: a rate of one in ten is then known to two points, one standard error
Statistics = tuple[list[float], list[float]]


def measure(
    job: Job, task: Task, model: torch.nn.Module, stats: Statistics, validated: np.ndarray | None = None
) -> dict[str, Any]:
    """The figures of metrics.json; writes validation.h5 where there is a validation split. model: in eval mode.

    validated: what it said of validation when its training ended, (V, C) log-probabilities; None: it is asked now.
    """
    scorer = folded(model)

    def log_probs(ids: np.ndarray) -> np.ndarray:
        size = 4 * task.section.batch_size
        return score_all(scorer, *stats, task.images, ids, views=1, batch_size=size, hardware=job.hardware)

    def judged(given: GivenLabels, scores: np.ndarray | None = None) -> dict[str, Any] | None:
        if len(given) == 0:
            return None
        scores = log_probs(given.ids) if scores is None else scores
        return quality.evaluate(scores, given.label, list(task.splits.classes))

    given = task.splits.validation
    if len(given):
        validated = log_probs(given.ids) if validated is None else validated
        group = groups_of(task.images.store.table(), given.ids)
        write_judged(job.out, Judged(given.ids, validated.astype(np.float32), given.label, group))
    return {
        "validation": judged(given, validated),
        "test": judged(task.splits.test),
        "disagreement": disagreement(task, log_probs) if task.kept is not None else None,
        "steps": task.section.total_steps,
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def disagreement(task: Task, log_probs: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """On how many kept patches the finished student, shown the clean patch, says otherwise than it was taught.

    Of each class `LOOKED_AT` patches are asked about, so that a rare one is known as well as any and a large pool costs
    no more than a small one; `total` weighs classes by what was kept of them. n: patches asked about.
    """
    kept = task.kept
    assert kept is not None
    of_class = [np.flatnonzero(kept.label == code) for code in range(len(task.splits.classes))]
    rows = np.sort(np.concatenate([_evenly(of) for of in of_class]))
    label, differs = kept.label[rows], log_probs(kept.ids[rows]).argmax(1) != kept.label[rows]
    rates = [float(differs[label == code].mean()) if len(of) else None for code, of in enumerate(of_class)]
    total = sum(rate * len(of) for rate, of in zip(rates, of_class, strict=True) if rate is not None) / len(kept.ids)
    return {"n": len(rows), "total": total, "per_class": dict(zip(task.splits.classes, rates, strict=True))}


def _evenly(rows: np.ndarray) -> np.ndarray:
    # the table is ordered by id, so by a hash
    return rows if len(rows) <= LOOKED_AT else rows[np.arange(LOOKED_AT) * len(rows) // LOOKED_AT]
