"""Memory that is really not there, and a loader process that the system really kills."""

import dataclasses
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from data.errors import ChainError, ExitCode
from stages.job import Hardware
from stages.train import stage
from stages.train.config import TeacherConfig
from stages.train.module import Training
from tests.stages.train.test_stage import digests
from tests.tiny import TINY

Order = Callable[..., Any]
ROOM_BYTES = 32 << 20
LONG = {"steps": 20, "evaluate_every": 20}  # more than loaders have ready


def teacher(make_order: Order, where: Path, patches: dict[str, Path], workers: int = 0, **keys: Any) -> Any:
    section = TeacherConfig.model_validate(TINY | keys).model_dump(mode="json")
    job = make_order("train", "rounds/00/teacher", where, section, patches)
    return dataclasses.replace(job, hardware=Hardware(device="cpu", threads=1, workers=workers))


def test_a_loader_process_that_is_killed_ends_with_71_and_costs_no_byte(
    make_order: Order, tmp_path: Path, patches: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = teacher(make_order, tmp_path / "plain", patches, **LONG)
    stage.run(plain)
    job = teacher(make_order, tmp_path / "struck", patches, workers=1, **LONG)
    made = Training.training_step

    def struck(self: Training, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == 3:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid or 0, signal.SIGKILL)
                worker.join()
        return made(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "training_step", struck)
        with pytest.raises(ChainError) as caught:
            stage.run(job)
    error = caught.value
    assert error.code == ExitCode.OUT_OF_MEMORY, error.lines()
    assert "the system killed a loader process" in error.what
    assert "steps of 8 patches" in error.what
    assert not multiprocessing.active_children()
    stage.run(job)
    assert digests(job.out) == digests(plain.out)


def test_a_limit_on_the_memory_of_the_process_ends_with_71_and_the_sizes(
    make_order: Order, tmp_path: Path, patches: dict[str, Path]
) -> None:
    # so large a batch that what freed memory the process still holds, and small allocations, cannot decide
    job, said = teacher(make_order, tmp_path, patches, batch_size=20_000, noise="none"), tmp_path / "said"
    pid = os.fork()
    if not pid:
        code = 99
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + ROOM_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            stage.run(job)
        except ChainError as error:
            said.write_text("\n".join(error.lines()))
            code = error.code
        except BaseException as error:  # noqa: BLE001 the child must end here, whatever happened
            said.write_text(repr(error))
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = said.read_text()
    assert code == ExitCode.OUT_OF_MEMORY, text
    assert "out of memory with test_resnet and steps of 20,000 patches of 24 px" in text
    assert "GiB free" in text
    assert not digests(job.out)
