"""Several machines inside an allocation of SLURM: `srun` starts one task a device, and ends them together."""

import os
import re
import shutil
import signal
import socket

from data.errors import ChainError, ExitCode
from pipeline.launchers.group import Group, python, started
from stages.job import Job

# the first host of a list such as gpu[03-05,7],cpu1
FIRST_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+?)(?:\[(?P<number>\d+)[\d,-]*\](?P<rest>[A-Za-z0-9._-]*))?(?:,.*)?")


class Slurm:
    """See Launcher. Raises ChainError (2) outside an allocation."""

    def __init__(self) -> None:
        if "SLURM_JOB_ID" in os.environ and shutil.which("srun"):
            return
        raise ChainError(
            "--nodes needs an allocation of SLURM",
            "SLURM_JOB_ID is not set" if shutil.which("srun") else "there is no srun on the PATH",
            "start it with sbatch or salloc (docs/cluster.md), or use --launcher external",
            ExitCode.USAGE,
        )

    def launch(self, job: Job, lock_fd: int) -> str:
        """See Launcher."""
        nodes, devices = job.hardware.nodes, job.hardware.devices
        group = Group(job, nodes * devices)
        with socket.create_server(("", 0)) as free:
            meet = {"MASTER_ADDR": first_host(os.environ), "MASTER_PORT": str(free.getsockname()[1])}
        words = [
            "srun",
            f"--nodes={nodes}",
            f"--ntasks={nodes * devices}",
            f"--ntasks-per-node={devices}",
            "--input=none",  # else it would read the lock, which is its input, for the first task
            "--kill-on-bad-exit=1",
            python(),
            *group.command,
        ]
        end = signal.SIGTERM  # tasks on other machines die with the step, and that is srun's to end
        return group.run(lambda: started(words, lock_fd, job.log / "launcher.log", meet, end), end)


def first_host(environment: os._Environ[str] | dict[str, str]) -> str:
    """Where task 0 runs: the first of SLURM_JOB_NODELIST. Raises ChainError (2) for what is no list of hosts."""
    text = environment.get("SLURM_JOB_NODELIST", "")
    found = FIRST_HOST.fullmatch(text)
    if found is None:
        raise ChainError(
            f"SLURM_JOB_NODELIST: {text!r} is no list of hosts",
            "the ranks meet on the first of them",
            "start it inside an allocation, as docs/cluster.md shows",
            ExitCode.USAGE,
        )
    return f"{found['name']}{found['number'] or ''}{found['rest'] or ''}"
