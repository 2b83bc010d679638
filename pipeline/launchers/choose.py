"""Which launcher runs the stages. Only training and labelling are divided; all else takes seconds in one process."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

from data.errors import ChainError, ExitCode
from pipeline.launchers.base import Launcher
from pipeline.launchers.external import External
from pipeline.launchers.in_process import InProcess
from pipeline.launchers.slurm import Slurm
from pipeline.launchers.torchrun import Torchrun
from stages.job import Hardware, Job
from stages.registry import KINDS

Name = Literal["auto", "in_process", "torchrun", "slurm", "external"]
NAMES = get_args(Name)


class Divided:
    """See Launcher. Stages that know ranks go to `many`, the others stay in this process."""

    def __init__(self, many: Launcher) -> None:
        self.many = many

    def launch(self, job: Job, lock_fd: int) -> str:
        """See Launcher."""
        return (self.many if KINDS[job.kind].ranks else InProcess()).launch(job, lock_fd)


def resolved(name: Name, hardware: Hardware, environment: Mapping[str, str]) -> Name:
    """What `auto` means here: who tells this process that it is one of several ranks means them to be used."""
    if name != "auto":
        return name
    if environment.get("WORLD_SIZE", "1") != "1":
        return "external"
    several: Name = "slurm" if hardware.nodes > 1 else "torchrun"
    return several if hardware.nodes * hardware.devices > 1 else "in_process"


@contextlib.contextmanager
def launcher(name: Name, hardware: Hardware, root: Path) -> Iterator[Launcher]:
    """The launcher of that name, for a chain in the directory `root`. Raises ChainError (2) for what does not fit."""
    name = resolved(name, hardware, os.environ)
    if hardware.nodes > 1 and name in ("in_process", "torchrun"):
        raise _unfit(name, f"--nodes {hardware.nodes}", "use --launcher slurm or external")
    if hardware.devices > 1 and name == "in_process":
        raise _unfit(name, f"--devices {hardware.devices}", "use --launcher torchrun, or leave it out")
    if name == "external":
        external = External(root)
        with external.ending():
            yield external
        return
    for variable in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):  # whose ranks they are of, they are none of ours
        os.environ.pop(variable, None)
    if name == "in_process":
        yield InProcess()
        return
    yield Divided(Slurm() if name == "slurm" else Torchrun())


def _unfit(name: str, flag: str, todo: str) -> ChainError:
    return ChainError(f"--launcher {name} does not go with {flag}", "it starts fewer processes", todo, ExitCode.USAGE)
