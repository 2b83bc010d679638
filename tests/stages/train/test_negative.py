"""Negative labels: the published loss, joined by id, taught to the student."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.select.negatives import Negatives, read_negatives, write_negatives
from stages.select.selection import Selection
from stages.train import stage
from stages.train.examples import pseudo_examples
from stages.train.module import negative_loss
from tests.stages.train.test_stage import digests, student_job

Order = Callable[..., Any]


def test_the_loss_is_the_published_one() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    negative = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0.0]])
    p = logits.softmax(1)
    wanted = (-(1 - p).log() * negative).sum(1) / negative.sum(1).clamp_min(1)
    assert torch.allclose(negative_loss(logits, negative), wanted, atol=1e-6)
    assert negative_loss(logits, negative)[2] == 0


def test_certainty_of_the_wrong_class_is_finite_and_is_unlearnt() -> None:
    logits = torch.tensor([[80.0, 0.0, 0.0]], requires_grad=True)
    loss = negative_loss(logits, torch.tensor([[1.0, 0.0, 0.0]]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert logits.grad is not None
    assert logits.grad[0, 0] > 0.9


def test_what_a_patch_is_not_is_joined_by_id_and_patches_with_nothing_else_join_the_pool() -> None:
    kept = Selection.of(np.array([5, 9], np.uint64), np.array([0, 1]), np.array([0.9, 0.8]), 0, copies=np.array([2, 1]))
    pool = np.array([3, 5, 7, 9], np.uint64)
    negatives = Negatives.of(np.array([7, 5, 7], np.uint64), np.array([2, 2, 0]))
    found = pseudo_examples(kept, 3, pool, None, negatives)
    assert found.ids.tolist() == [5, 5, 9, 7]
    assert found.target.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert found.negative is not None
    assert found.negative.astype(int).tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert found.weight.tolist() == [1, 1, 1, 1]
    assert pseudo_examples(kept, 3, pool, None, None).negative is None
    none = Negatives.of(np.empty(0, np.uint64), np.empty(0))
    assert pseudo_examples(kept, 3, pool, None, none).negative is None


def test_a_student_learns_them(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], labelled_pool: dict[str, Path]
) -> None:
    import shutil

    from stages.scores import read_scores

    told = tmp_path / "select"
    shutil.copytree(labelled_pool["select"], told)
    pool = read_scores(labelled_pool["predict"] / "scores.h5", "pool")
    write_negatives(told, [Negatives.of(pool.ids[:20], np.full(20, 3))])
    found = read_negatives(told)
    assert found is not None
    assert found.label.tolist() == [3] * 20
    plain = student_job(make_order, tmp_path / "plain", patches | labelled_pool)
    other = student_job(make_order, tmp_path / "other", patches | labelled_pool | {"select": told})
    stage.run(plain)
    stage.run(other)
    assert digests(plain.out)["model.safetensors"] != digests(other.out)["model.safetensors"]
