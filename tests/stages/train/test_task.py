"""What a student is taught is what its round believes: tempered and aligned, patch by patch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stages.scores import read_scores
from stages.train.task import read_task
from tests.stages.train.test_stage import student_job


def test_soft_labels_are_tempered_and_aligned_as_the_rule_saw_them(
    make_order: Callable[..., Any], tmp_path: Path, patches: dict[str, Path], labelled_pool: dict[str, Path]
) -> None:
    select = tmp_path / "select"
    shutil.copytree(labelled_pool["select"], select)
    quality = json.loads((select / "quality.json").read_bytes())
    weights = np.linspace(0.2, 1, len(quality["classes"]))
    alignment = {"target": "uniform", "exponent": 1.0, "weights": weights.tolist()}
    quality |= {"temperature": 2.5, "temperatures": None, "alignment": alignment}
    (select / "quality.json").write_text(json.dumps(quality))
    task = read_task(student_job(make_order, tmp_path / "student", patches | labelled_pool | {"select": select}))
    pool = read_scores(labelled_pool["predict"] / "scores.h5", "pool")
    assert task.pseudo is not None
    raw = pool.log_probs[np.searchsorted(pool.ids, task.pseudo.ids)].astype(np.float64)
    wanted = np.exp(raw / 2.5) * weights
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(task.pseudo.target, wanted, rtol=1e-4, atol=1e-6)
