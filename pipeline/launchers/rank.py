"""One rank of a stage: `python -m pipeline.launchers.rank FOLDER SHOWN GRACE_S`, with RANK and WORLD_SIZE set.

FOLDER is that of a `Group`: the work order lies in it, and the beat and the report of this rank are written there.
"""

import faulthandler
import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from data.errors import ChainError, ExitCode
from pipeline.directory.lock import follow
from pipeline.launchers.in_process import InProcess
from pipeline.launchers.report import Report
from pipeline.screen import log_to_screen
from stages.job import Job
from stages.process.end_with_parent import end_with_parent
from stages.process.heartbeat import Watched, beating
from stages.process.signals import Ended, watched

SHOWN, QUIET = "shown", "quiet"
DUMP_SIGNAL = signal.SIGUSR2
# a task of srun knows its place by other names
SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}


def main(folder: Path, shown: bool, grace_s: float) -> NoReturn:
    """Do this rank's part of the stage, leave the report, and end without waiting for anybody."""
    end_with_parent(os.getppid())
    for ours, theirs in SLURM.items():
        if ours not in os.environ and theirs in os.environ:
            os.environ[ours] = os.environ[theirs]
    number = int(os.environ["RANK"])
    job = Job.load(folder / "job.json")
    follow(job.out.parents[2] / "chain.lock")
    job.log.mkdir(parents=True, exist_ok=True)
    _take_output(out_of(job.log, number), number == 0)
    if number == 0:
        log_to_screen(not shown)
    stacks = stacks_of(job.log, number).open("w")
    faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL, stacks)
    watcher = Watched(folder / "asked", folder / "orchestrator", stacks)
    with watched(grace_s):  # before the first look at what is asked: it may be to end
        try:
            with beating(folder / f"beat-{number}", watcher.look):
                report = _outcome(job, number)
        except Ended as ended:  # before the stage began, or when it had just ended
            report = Report(ended.code, saved=ended.saved)
        report.save(folder / f"report-{number}.json")
    logging.shutdown()
    # not through the ends of libraries: those of process groups wait for ranks that may never come
    os._exit(0 if report.ended else report.code)


def log_of(log: Path, number: int) -> Path:
    """What rank `number` logged; the first one's log is the stage's."""
    return log / ("stage.log" if number == 0 else f"rank-{number}.log")


def out_of(log: Path, number: int) -> Path:
    """What it, and the libraries below Python, printed."""
    return log / f"rank-{number}.out"


def stacks_of(log: Path, number: int) -> Path:
    """Where it stood when it was asked."""
    return log / f"stacks-rank-{number}.txt"


def _outcome(job: Job, number: int) -> Report:
    try:
        return Report(ExitCode.DONE, InProcess(log_of(job.log, number).name).launch(job, -1))
    except ChainError as error:
        return Report.of(error)
    except Ended as ended:
        return Report(ended.code, saved=ended.saved)


def _take_output(path: Path, screen: bool) -> None:
    # what started us has the user's screen as its output, and only the first rank writes there
    if screen:
        sys.stderr = os.fdopen(os.dup(1), "w", buffering=1)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == SHOWN, float(sys.argv[3]))
