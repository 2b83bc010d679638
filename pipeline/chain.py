"""The loop: every step of the plan that is not done is worked on, sealed, and published."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.config.chain import ChainConfig
from pipeline.directory import ledger
from pipeline.directory.disk_need import refuse_short_disk
from pipeline.directory.record import Stop, stop_of
from pipeline.directory.rundir import RunDir, Staging
from pipeline.launchers.base import Launcher
from pipeline.plan import Step, course
from pipeline.views.status import all_rounds
from stages.job import Hardware, Job
from stages.process.signals import Ended

LOG = logging.getLogger("patchchain")


@dataclass
class Chain:
    """One run of the loop. `at` is the step being worked on, `published` counts what this run put in place."""

    rundir: RunDir
    launcher: Launcher
    hardware: Hardware
    check: Callable[[], None]  # raises when a signal arrived that a library swallowed
    at: Step | None = None
    published: int = 0

    def advance(self, lock_fd: int) -> Stop:
        """Go on until the chain ends; returns why it ended. Raises ChainError at the first step that is refused."""
        stop = all_rounds(self.rundir.config.rounds)
        verified = 0
        for step in course(self.rundir.config, self.rundir.stopped):
            self.at = step
            if self.rundir.is_done(step):
                verified += 1
            else:
                if verified and not self.published:
                    LOG.info(f"{verified} finished step{'s' * (verified > 1)} verified; going on with {step.address}")
                self._work_on(step, lock_fd)
            stop = stop_of(self.rundir.layout.place(step.address)) or stop
        return stop

    def _work_on(self, step: Step, lock_fd: int) -> None:
        begun = time.monotonic()
        staging = self.rundir.staging(step)
        if not staging.sealed:
            if isinstance(self.rundir.config, ChainConfig):
                refuse_short_disk(self.rundir.layout, self.rundir.config)
            LOG.info(f"{step.address}: {step.kind}")
            ledger.append(self.rundir.layout.ledger, "begin", address=step.address, kind=step.kind)
            try:
                summary = self.launcher.launch(self._job(step, staging), lock_fd)
            except Ended:
                raise
            except BaseException:
                self.check()  # a library may turn a signal into an error of its own,
                raise
            self.check()  # or into an early, orderly return
            self.rundir.seal(step)
            LOG.info(summary if summary.startswith(step.address) else f"{step.address}: {summary}")
        self.rundir.publish(step)
        self.published += 1
        spent = round(time.monotonic() - begun, 3)
        ledger.append(self.rundir.layout.ledger, "done", address=step.address, kind=step.kind, seconds=spent)

    def _job(self, step: Step, staging: Staging) -> Job:
        layout = self.rundir.layout
        return Job(
            address=step.address,
            kind=step.kind,
            round=step.round,
            seed=self.rundir.config.seed,
            section=self.rundir.config.section_of(step).model_dump(mode="json"),
            inputs=self.rundir.inputs(step),
            out=staging.out,
            work=staging.work,
            log=layout.log(step.address),
            hardware=self.hardware,
        )
