"""The train stage: the same bytes however often it was killed; noise on the student alone; labels by id."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import ChainError, ExitCode
from data.patches.labels import GivenLabels
from data.splits.written import load_splits
from stages.job import Hardware
from stages.measures.judged import read_judged
from stages.select.selection import Selection
from stages.train import batches, measuring, stage
from stages.train.checkpoint import WholeFiles
from stages.train.config import StudentConfig, TeacherConfig
from stages.train.examples import given_examples, pseudo_examples
from stages.train.module import Training
from stages.train.on_device import disturbed
from stages.train.optimizer import learning_rate
from tests.tiny import TINY

Order = Callable[..., Any]


def digests(directory: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in directory.iterdir() if p.is_file()}


def student_job(make_order: Order, where: Path, inputs: dict[str, Path], **keys: Any) -> Any:
    section = StudentConfig.model_validate(TINY | {"unlabeled_ratio": 2, "drop_path": 0.1} | keys)
    return make_order("train", "rounds/00/student", where, section.model_dump(mode="json"), inputs)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("kill_at", [1, 2, 3, 5])
def test_killed_anywhere_ends_with_the_same_bytes(
    make_order: Order,
    tmp_path: Path,
    patches: dict[str, Path],
    labelled_pool: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    kill_at: int,
) -> None:
    inputs = patches | labelled_pool
    plain = student_job(make_order, tmp_path / "plain", inputs)
    stage.run(plain)
    killed = student_job(make_order, tmp_path / "killed", inputs)
    step = Training.training_step

    def dying(self: Training, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == kill_at:
            raise Killed
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "training_step", dying)
        with pytest.raises(Killed):
            stage.run(killed)
    torch.manual_seed(12345)  # what other code drew in between must not matter
    stage.run(killed)
    assert digests(killed.out) == digests(plain.out)


def test_noise_on_the_device_is_the_same_training_and_killed_it_ends_with_the_same_bytes(
    make_order: Order,
    tmp_path: Path,
    patches: dict[str, Path],
    labelled_pool: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within rounding of the loader's: one step of grey on a pixel in a thousand, before AdamW divides by it."""
    names = ("loader", "device", "killed", "helped")
    by = {name: student_job(make_order, tmp_path / name, patches | labelled_pool) for name in names}
    done: list[int] = []

    def counted(image: torch.Tensor, drawn: dict[str, Any]) -> torch.Tensor:
        done.append(len(drawn))
        return disturbed(image, drawn)

    monkeypatch.setattr(batches, "disturbed", counted)
    stage.run(by["loader"])
    assert not done
    for name, workers in (("device", 0), ("killed", 0), ("helped", 2)):
        by[name] = dataclasses.replace(
            by[name], hardware=Hardware("cpu", workers=workers, threads=1, noise_on="device")
        )
    stage.run(by["device"])
    assert len(done) > TINY["steps"], "a batch each step, and a check before"
    assert min(done) > 5, "operations of strong"
    step, seen = Training.training_step, []

    def dying(self: Training, batch: Any, batch_idx: int) -> torch.Tensor:
        seen.append(batch.noise)
        if len(seen) == 4:
            raise Killed
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "training_step", dying)
        with pytest.raises(Killed):
            stage.run(by["killed"])
    assert seen == [None] * 4, "noise was still to be done"
    stage.run(by["killed"])
    stage.run(by["helped"])
    assert digests(by["killed"].out) == digests(by["helped"].out) == digests(by["device"].out)
    first, second = (json.loads((by[name].out / "metrics.json").read_text())["history"] for name in names[:2])
    assert [entry["step"] for entry in first] == [entry["step"] for entry in second]
    assert [entry["loss"] for entry in second] == pytest.approx([entry["loss"] for entry in first], abs=0.02)


def test_killed_while_writing_a_checkpoint_goes_back_to_the_one_before(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    section = TeacherConfig.model_validate(TINY).model_dump(mode="json")
    plain = make_order("train", "rounds/00/teacher", tmp_path / "plain", section, patches)
    stage.run(plain)
    torn = make_order("train", "rounds/00/teacher", tmp_path / "torn", section, patches)
    save = WholeFiles.save_checkpoint
    saved: list[Path] = []

    def tearing(self: WholeFiles, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        save(self, checkpoint, path)
        saved.append(Path(path))
        if len(saved) == 2:
            saved[-1].write_bytes(saved[-1].read_bytes()[:100])
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(WholeFiles, "save_checkpoint", tearing)
        with pytest.raises(Killed):
            stage.run(torn)
    stage.run(torn)
    assert digests(torn.out) == digests(plain.out)


def test_loader_workers_change_no_byte(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], labelled_pool: dict[str, Path]
) -> None:
    alone = student_job(make_order, tmp_path / "alone", patches | labelled_pool)
    helped = student_job(make_order, tmp_path / "helped", patches | labelled_pool)
    stage.run(alone)
    stage.run(dataclasses.replace(helped, hardware=Hardware(device="cpu", threads=1, workers=2)))
    assert digests(helped.out) == digests(alone.out)


def test_a_loss_that_is_not_finite_stops_at_once_and_leaves_nothing(
    make_order: Order, tmp_path: Path, patches: dict[str, Path]
) -> None:
    section = TeacherConfig.model_validate(TINY | {"lr": 1e30, "clip_norm": 0}).model_dump(mode="json")
    job = make_order("train", "rounds/00/teacher", tmp_path, section, patches)
    with pytest.raises(ChainError) as caught:
        stage.run(job)
    assert caught.value.code == ExitCode.DIVERGED
    assert not digests(job.out)


def test_metrics_tell_history_disagreement_and_both_parts(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], labelled_pool: dict[str, Path]
) -> None:
    job = student_job(make_order, tmp_path, patches | labelled_pool, soft_labels=False)
    line = stage.run(job)
    metrics = json.loads((job.out / "metrics.json").read_text())
    assert [entry["step"] for entry in metrics["history"]] == [2, 4, 6]
    assert all("validation_accuracy" in entry for entry in metrics["history"])
    assert 0 <= metrics["disagreement"]["total"] <= 1
    assert metrics["validation"]["n"] > 0
    assert metrics["test"]["n"] > 0
    assert "validation accuracy" in line


def test_validation_is_scored_once_as_the_finished_model_scores_it_also_where_it_died_after_that(
    make_order: Order,
    tmp_path: Path,
    patches: dict[str, Path],
    labelled_pool: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs, score = patches | labelled_pool, measuring.score_all
    plain, killed = (student_job(make_order, tmp_path / name, inputs, logit_adjustment=1) for name in ("plain", "died"))
    given = load_splits(patches["splits"]).validation
    asked: list[np.ndarray] = []
    again: list[np.ndarray] = []

    def watched(*parts: Any, **keys: Any) -> np.ndarray:
        asked.append(parts[4])
        if not again:
            again.append(score(*parts[:4], given.ids, **keys))
        return score(*parts, **keys)

    def dying(*parts: Any, **keys: Any) -> np.ndarray:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(measuring, "score_all", watched)
        stage.run(plain)
    assert asked, "test and pseudo-labels are asked about"
    assert not np.isin(given.ids, np.concatenate(asked)).any()
    found = read_judged(plain.out)
    assert found is not None
    assert found.log_probs == pytest.approx(again[0], abs=1e-4)
    with monkeypatch.context() as patched:
        patched.setattr(measuring, "score_all", dying)
        with pytest.raises(Killed):
            stage.run(killed)
    asked.clear()
    with monkeypatch.context() as patched:
        patched.setattr(measuring, "score_all", watched)
        stage.run(killed)
    assert not np.isin(given.ids, np.concatenate(asked)).any()
    assert digests(killed.out) == digests(plain.out)


def test_steps_need_not_be_a_multiple_of_the_evaluation(
    make_order: Order, tmp_path: Path, patches: dict[str, Path]
) -> None:
    section = TeacherConfig.model_validate(TINY | {"steps": 5}).model_dump(mode="json")
    job = make_order("train", "rounds/00/teacher", tmp_path, section, patches)
    stage.run(job)
    metrics = json.loads((job.out / "metrics.json").read_text())
    assert [entry["step"] for entry in metrics["history"]] == [2, 4, 5]


def test_smoothing_is_for_given_labels_and_copies_repeat() -> None:
    given = given_examples(GivenLabels(np.array([3], np.uint64), np.array([1], np.int16)), 4, 0.1)
    assert np.allclose(given.target, [[0.025, 0.925, 0.025, 0.025]])
    kept = Selection(
        np.array([5, 9], np.uint64),
        np.array([0, 1], np.int16),
        np.array([0.9, 0.8], np.float32),
        np.array([1, 0.5], np.float32),
        np.array([1, 3], np.int32),
        np.array([0, 0], np.int16),
    )
    pool = np.array([1, 5, 7, 9], np.uint64)
    soft = np.array([[0, 1], [0.9, 0.1], [0, 1], [0.2, 0.8]], np.float32)
    pseudo = pseudo_examples(kept, 2, pool, soft)
    assert pseudo.ids.tolist() == [5, 9, 9, 9]
    assert np.allclose(pseudo.target, [[0.9, 0.1], [0.2, 0.8], [0.2, 0.8], [0.2, 0.8]])
    assert pseudo.weight.tolist() == [1, 0.5, 0.5, 0.5]
    assert np.array_equal(pseudo_examples(kept, 2, pool, None).target, np.eye(2)[[0, 1, 1, 1]])


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [learning_rate(step, steps=100, warmup=0.1) for step in range(101)]
    assert max(rates) == rates[10] == 1.0
    assert rates[0] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(0)


@pytest.mark.parametrize(("batch_size", "accumulate"), [(1, 1), (2, 2)])
def test_batch_statistics_of_one_place_are_refused_by_name(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], batch_size: int, accumulate: int
) -> None:
    section = TeacherConfig.model_validate(TINY | {"batch_size": batch_size}).model_dump(mode="json")
    job = make_order("train", "rounds/00/teacher", tmp_path, section, patches)
    job = dataclasses.replace(job, hardware=Hardware(device="cpu", threads=1, workers=0, accumulate=accumulate))
    with pytest.raises(ChainError, match="batch normalisation") as caught:
        stage.run(job)
    assert caught.value.code == ExitCode.MISMATCH
    assert "has 1 patch" in caught.value.why
    assert "batch_size" in caught.value.todo
