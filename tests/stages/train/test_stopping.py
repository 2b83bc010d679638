"""A training asked to end saves between two steps, and goes on as if it had not been."""

import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data import fault
from data.errors import ChainError, ExitCode
from stages.process.signals import Ended, watched
from stages.train import stage
from stages.train.config import StudentConfig
from stages.train.module import Training
from tests.stages.train.test_stage import digests
from tests.tiny import TINY

Order = Callable[..., Any]
# two phases, stretches of 3, 2, 1 and 3 steps: the next one is longer and shorter than the one before
PHASES = TINY | {
    "evaluate_every": 3,
    "steps": 5,
    "schedule": "pretrain_finetune",
    "finetune": {"steps": 4, "lr": 1e-3},
    "drop_path": 0.1,
}


@pytest.fixture(scope="module")
def inputs(patches: dict[str, Path], labelled_pool: dict[str, Path]) -> dict[str, Path]:
    return patches | labelled_pool


def student(make_order: Order, where: Path, inputs: dict[str, Path]) -> Any:
    section = StudentConfig.model_validate(PHASES).model_dump(mode="json")
    return make_order("train", "rounds/00/student", where, section, inputs)


@pytest.fixture(scope="module")
def plain(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from tests.conftest import order

    job = student(order, tmp_path_factory.mktemp("plain"), inputs)
    stage.run(job)
    return digests(job.out)


def signalled(job: Any, step: int, numbers: list[int], monkeypatch: pytest.MonkeyPatch) -> Ended:
    """Run `job` until `numbers` arrive in the middle of `step`."""
    made = Training.training_step

    def struck(self: Training, batch: Any, batch_idx: int) -> Any:
        if self.global_step == step:
            for number in numbers:
                os.kill(os.getpid(), number)
        return made(self, batch, batch_idx)

    with monkeypatch.context() as patched, watched():
        patched.setattr(Training, "training_step", struck)
        with pytest.raises(Ended) as caught:
            stage.run(job)
    return caught.value


@pytest.mark.parametrize("step", range(9))
def test_a_signal_at_any_step_costs_no_step_and_no_byte(
    make_order: Order,
    tmp_path: Path,
    inputs: dict[str, Path],
    plain: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    job = student(make_order, tmp_path, inputs)
    number = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT)[step % 4]
    signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is none; a fixture puts it back
    ended = signalled(job, step, [number], monkeypatch)
    assert ended.code == (ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.PREEMPTED)
    begun: list[int] = []
    made = Training.training_step
    monkeypatch.setattr(
        Training, "training_step", lambda self, *words: (begun.append(self.global_step), made(self, *words))[1]
    )
    stage.run(job)
    assert begun == list(range(step + 1, 9))  # the step that was struck was finished and saved
    assert digests(job.out) == plain


def test_stopped_after_every_single_step_it_ends_with_the_same_bytes(
    make_order: Order,
    tmp_path: Path,
    inputs: dict[str, Path],
    plain: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = student(make_order, tmp_path, inputs)
    for step in range(8):
        signalled(job, step, [signal.SIGTERM], monkeypatch)
        kept = [path.name for path in (job.work / "checkpoints").glob("*.ckpt")]
        assert len(kept) == min(step + 1, 2), kept
    stage.run(job)
    assert digests(job.out) == plain


def test_the_second_signal_does_not_wait_for_a_boundary(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, plain: dict[str, str]
) -> None:
    job = student(make_order, tmp_path, inputs)
    ended = signalled(job, 1, [signal.SIGTERM, signal.SIGTERM], monkeypatch)
    assert ended.saved == ""
    assert not list((job.work / "checkpoints").glob("*"))
    stage.run(job)
    assert digests(job.out) == plain


def test_a_clock_that_runs_backwards_and_checkpoints_of_other_years_change_no_byte(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, plain: dict[str, str]
) -> None:
    job = student(make_order, tmp_path, inputs)
    began, looks = time.time(), itertools.count()
    monkeypatch.setattr(time, "time", lambda: began - 3600 * next(looks))
    for step in (2, 5):
        signalled(job, step, [signal.SIGTERM], monkeypatch)
        for age, path in enumerate(sorted((job.work / "checkpoints").iterdir())):
            os.utime(path, (1 + age, 1_000_000 - age))  # the newest looks oldest
    stage.run(job)
    assert digests(job.out) == plain


@pytest.mark.parametrize("point", ["train.loss", "train.gradient"])
def test_what_is_not_finite_stops_within_the_step_and_reaches_no_checkpoint(
    make_order: Order, tmp_path: Path, inputs: dict[str, Path], plain: dict[str, str], point: str
) -> None:
    job = student(make_order, tmp_path, inputs)
    fault.arm(f"{point}@5@nan")
    with pytest.raises(ChainError) as caught:
        stage.run(job)
    fault.arm(None)
    assert caught.value.code == ExitCode.DIVERGED
    assert "rounds/00/student" in caught.value.what
    assert "at step 4" in caught.value.what
    assert "learning rate" in caught.value.why
    assert "patches" in caught.value.why
    assert not digests(job.out)
    stage.run(job)
    assert digests(job.out) == plain


def test_running_out_of_memory_names_the_sizes(make_order: Order, tmp_path: Path, inputs: dict[str, Path]) -> None:
    job = student(make_order, tmp_path, inputs)
    fault.arm("train.step@2@oom")
    with pytest.raises(ChainError) as caught:
        stage.run(job)
    fault.arm(None)
    assert caught.value.code == ExitCode.OUT_OF_MEMORY
    assert "steps of 8 patches of 24 px" in caught.value.what
    assert "GiB free" in caught.value.why
    assert "--batch-size auto" in caught.value.todo
