"""What a student is taught is what its round believes: tempered and aligned, patch by patch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from data.splits.review_words import FILE, ROLE
from data.splits.reviewed import REJECTED, Reviewed, write_review
from data.splits.written import load_splits
from stages.scores import read_scores
from stages.select.negatives import Negatives, write_negatives
from stages.select.selection import read_selection
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


def test_a_reviewed_patch_teaches_what_people_said_of_it_or_nothing_and_no_pseudo_label(
    make_order: Callable[..., Any], tmp_path: Path, patches: dict[str, Path], labelled_pool: dict[str, Path]
) -> None:
    """Those reviewed after the selection was made, nor what they were said not to be."""
    select = tmp_path / "select"
    shutil.copytree(labelled_pool["select"], select)
    inputs = patches | labelled_pool | {"select": select}
    kept = np.unique(read_selection(labelled_pool["select"] / "selection.parquet").ids)
    named, rejected = kept[:2]
    write_negatives(select, [Negatives.of(kept[:3], np.zeros(3, np.int16))])
    classes = load_splits(patches["splits"]).classes
    (tmp_path / "review").mkdir()
    write_review(tmp_path / "review" / FILE, Reviewed.of({int(named): 1, int(rejected): REJECTED}), classes)
    before = read_task(student_job(make_order, tmp_path / "before", inputs))
    after = read_task(student_job(make_order, tmp_path / "after", inputs | {f"{ROLE}s/00": tmp_path / "review"}))
    assert before.pseudo is not None
    assert after.pseudo is not None
    assert np.isin(kept[:2], before.pseudo.ids).all()
    assert np.array_equal(np.unique(after.pseudo.ids), kept[2:])
    assert set(after.given.ids.tolist()) - set(before.given.ids.tolist()) == {int(named)}
    assert after.given.target[after.given.ids == named].argmax() == 1


def test_given_labels_are_smoothed_and_pseudo_labels_never(
    make_order: Callable[..., Any], tmp_path: Path, patches: dict[str, Path], labelled_pool: dict[str, Path]
) -> None:
    job = student_job(make_order, tmp_path / "student", patches | labelled_pool, label_smoothing=0.3, soft_labels=False)
    task = read_task(job)
    assert task.pseudo is not None
    np.testing.assert_allclose(task.given.target.min(axis=1), 0.3 / len(task.splits.classes), rtol=1e-5)
    assert np.isin(task.pseudo.target, (0, 1)).all()
