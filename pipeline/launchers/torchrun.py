"""Several devices of this machine: one process each, started by torch's own program."""

from pipeline.launchers.group import Group, python, started
from stages.job import Job


class Torchrun:
    """See Launcher."""

    def launch(self, job: Job, lock_fd: int) -> str:
        """See Launcher. Not by the name `torchrun`, which may not be on the PATH."""
        group = Group(job, job.hardware.devices)
        agent = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={job.hardware.devices}"]
        words = [python(), *agent, *group.command]
        return group.run(lambda: started(words, lock_fd, job.log / "launcher.log", {}))
