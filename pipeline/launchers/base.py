"""The protocol of every launcher: a work order in, the stage's summary line out."""

from typing import Protocol

from stages.job import Job


class Launcher(Protocol):
    """Runs a stage somewhere and waits for it. The stage does not know which launcher it was."""

    def launch(self, job: Job, lock_fd: int) -> str:
        """Run one stage to its end; returns its one summary line.

        `lock_fd`: the run's lock, to be inherited by every process started, so that an orphan keeps the run
        locked until it ends. Raises ChainError for anything a user can mend; the traceback of anything else
        goes to `job.log`/stage.log.
        """
