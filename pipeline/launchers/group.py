"""The ranks of one stage: handed their work order as a file, watched through files, ended together.

Whatever started them (torchrun, srun, other people), a dead rank ends the stage at once and a silent one after
`--hang-timeout`. Nothing is read from what they print but the last lines, for people.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import ChainError, ExitCode
from pipeline.launchers.rank import DUMP_SIGNAL, QUIET, SHOWN, log_of, out_of, stacks_of
from pipeline.launchers.report import Report
from pipeline.screen import is_quiet
from stages.job import Job
from stages.process import signals
from stages.process.end_with_parent import end_with_parent
from stages.process.heartbeat import DUMP, END, EVERY_S, STOP, Beat, beating

LOG = logging.getLogger("patchchain")
ROOT = Path(__file__).resolve().parents[2]
LOOK_EVERY_S = 0.1
START_S = 60.0  # on top of the hang timeout, before a rank's first batch: libraries are loaded, ranks meet
SETTLE_S = 2.0  # ranks that fail because another died fail at once; who died first shows a moment later
SETTLE_FAR_S = 15.0  # on other machines files are seen later
STILL_S = 5 * EVERY_S
LOST_S = 60.0  # no sign of life from another machine
END_S = 20.0
LINES = 6


@dataclass
class Rank:
    """What is known of one rank. `moved`: when it last came further; `beaten`: when it last showed that it lives."""

    number: int
    begun: float
    beat: Beat | None = None
    report: Report | None = None
    moved: float = 0.0
    beaten: float = 0.0
    lost: bool = False  # whoever was to start it is gone

    def look(self, folder: Path, now: float) -> None:
        """Read its files."""
        beat = Beat.read(folder / f"beat-{self.number}")
        if beat is not None and beat != self.beat:
            self.beaten = now
            if self.beat is None or beat.ticks != self.beat.ticks:
                self.moved = now
            self.beat = beat
        self.report = self.report or Report.read(folder / f"report-{self.number}.json")

    @property
    def gone(self) -> bool:
        """Whether it is dead; of other machines only silence tells."""
        if self.beat is None:
            return self.lost
        return not _runs(self.beat.pid) if self.beat.here else time.monotonic() - self.beaten > LOST_S

    @property
    def where(self) -> str:
        """How far it came, in words."""
        return f" at {self.beat.at}" if self.beat and self.beat.at else ""

    def silent_s(self, now: float) -> float:
        """Seconds without getting further; what a start takes is not counted."""
        if self.beat is None or self.beat.ticks == 0:
            return now - self.begun - START_S
        return now - self.moved


class Group:
    """`world` ranks of one job. Its folder is what a rank is started with."""

    def __init__(self, job: Job, world: int) -> None:
        self.job, self.grace_s = job, signals.grace_s()
        self.folder = (job.work / "ranks").absolute()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        absolute = {role: where.absolute() for role, where in job.inputs.items()}
        places = {name: getattr(job, name).absolute() for name in ("out", "work", "log")}
        dataclasses.replace(job, inputs=absolute, **places).save(self.folder / "job.json")
        (self.folder / "asked").touch()
        self.ranks = [Rank(number, time.monotonic()) for number in range(world)]
        self._lost: Callable[[int], bool] = lambda number: False

    @property
    def command(self) -> list[str]:
        """After `python`: what starts a rank, whose place is in its environment."""
        shown = QUIET if is_quiet() else SHOWN
        return ["-m", "pipeline.launchers.rank", str(self.folder), shown, f"{self.grace_s:g}"]

    def run(
        self,
        start: Callable[[], subprocess.Popen[bytes]],
        end: signal.Signals = signal.SIGKILL,
        lost: Callable[[int], bool] = lambda number: False,
    ) -> str:
        """Start the ranks, wait for them, and return the first one's summary.

        end: the signal that makes what `start` started end all ranks. lost: whether nobody is left to start the rank
        of that number; asked as long as nothing is heard of it. Raises ChainError for what a rank was refused,
        70 for one that died, 124 for one that hung; Ended when a signal came, to this process or to any rank.
        """
        self._lost = lost
        with beating(self.folder / "orchestrator"):
            process = start()
            try:
                with signals.between_batches():
                    self._watch(process)
                    reports = [rank.report for rank in self.ranks if rank.report]
                    if ended := [report for report in reports if report.ended]:
                        # Ctrl-C at one rank is Ctrl-C: what the others were told by it is less
                        first = max(ended, key=lambda report: report.code == ExitCode.INTERRUPTED)
                        raise signals.Ended(ExitCode(first.code), ended[0].saved)
            finally:
                self._end(process, end)
        return reports[0].summary

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        stopping = False
        while not self._all_reported():
            if not stopping and (signals.asked() or any(rank.report and rank.report.ended for rank in self.ranks)):
                stopping = True
                self.ask(STOP, "SIGINT" if signals.code() == ExitCode.INTERRUPTED else "SIGTERM")
            if self._in_trouble() or process.poll() is not None:
                self._settle()
                self._refuse_failed(process)
            self._refuse_silent()
            time.sleep(LOOK_EVERY_S)
        self._refuse_failed(process)

    def ask(self, *words: str) -> None:
        """Ask all ranks, wherever they run, for something; they look once a second."""
        with (self.folder / "asked").open("a") as file:  # in place: what is opened again is read anew everywhere
            file.write(" ".join(words) + "\n")

    def _look(self) -> None:
        now = time.monotonic()
        for rank in self.ranks:
            rank.look(self.folder, now)
            rank.lost = rank.beat is None and self._lost(rank.number)

    def _all_reported(self) -> bool:
        self._look()
        return all(rank.report for rank in self.ranks)

    def _in_trouble(self) -> bool:
        return any(rank.report.refused if rank.report else rank.gone for rank in self.ranks)

    def _settle(self) -> None:
        near = all(rank.beat is None or rank.beat.here for rank in self.ranks)
        until = time.monotonic() + (SETTLE_S if near else SETTLE_FAR_S)
        while time.monotonic() < until and not self._all_reported():
            time.sleep(LOOK_EVERY_S)

    def _refuse_failed(self, process: subprocess.Popen[bytes]) -> None:
        """Raise for the rank that failed first: a refusal with a name, else one that died, else any other.

        A signal can end one of them at once, where there are no batches to come to the end of; what the others say
        after that, of a partner that is gone, is no failure.
        """
        refused = [(rank, error) for rank in self.ranks if rank.report and (error := rank.report.error)]
        named = [error for _, error in refused if error.code != ExitCode.INTERNAL]
        if named:
            raise named[0]
        ended = process.poll() is not None
        dead = [rank for rank in self.ranks if rank.report is None and (rank.gone or ended)]
        if dead:
            # with several, one that was seen alive: the others may not have been started
            raise self._died(next((rank for rank in dead if rank.beat), dead[0]), process.poll())
        if refused:
            first, error = min(refused, key=lambda one: self._reported_at(one[0]))
            signalled = [rank for rank in self.ranks if rank.report and rank.report.ended]
            # times of files are no finer than a few milliseconds
            if any(self._reported_at(rank) <= self._reported_at(first) for rank in signalled):
                return
            self._show_last_lines(first)
            raise error

    def _reported_at(self, rank: Rank) -> float:
        return (self.folder / f"report-{rank.number}.json").stat().st_mtime

    def _died(self, rank: Rank, code: int | None) -> ChainError:
        shown = self._show_last_lines(rank)
        if rank.lost:
            return ChainError(
                f"{self.job.address}: rank {rank.number} died before this step began",
                "it follows rank 0 and says several times a minute that it is there, and nothing was heard of it since",
                "see what it printed; start all ranks again to go on",
                ExitCode.INTERNAL,
            )
        if rank.beat is None:
            log = self.job.log / "launcher.log"
            _show(log)
            return ChainError(
                f"{self.job.address}: rank {rank.number} was never heard of",
                f"what starts the ranks ended with {code}" if code is not None else "it ended at once",
                f"see {log} and {out_of(self.job.log, rank.number)}",
                ExitCode.INTERNAL,
            )
        return ChainError(
            f"{self.job.address}: rank {rank.number} died{rank.where} (pid {rank.beat.pid} on {rank.beat.host})",
            "somebody or the system killed it (out of memory?), or a library crashed"
            + ("; its last lines stand above" if shown else ""),
            f"run the same command again to go on; its log: {log_of(self.job.log, rank.number)}",
            ExitCode.INTERNAL,
        )

    def _refuse_silent(self) -> None:
        """Raise ChainError (124) when a rank came no further for too long, after all wrote where they stand."""
        now, patience = time.monotonic(), self.job.hardware.hang_timeout_s
        working = [rank for rank in self.ranks if rank.report is None]
        silent = [rank for rank in working if rank.silent_s(now) > patience]
        if not patience or not silent:
            return
        # one that hangs keeps all others waiting: it is the one that stands still, or that came least far
        still = [rank for rank in silent if rank.beat and now - rank.beaten > STILL_S]
        rank = (still or sorted(silent, key=lambda one: one.beat.ticks if one.beat else 0))[0]
        self._dump_stacks()
        self._show_last_lines(rank)
        raise ChainError(
            f"{self.job.address}: rank {rank.number} is silent for {now - rank.moved:.0f} s{rank.where}"
            if rank.beat
            else f"{self.job.address}: rank {rank.number} was never heard of",
            f"{'its process stands still' if still else 'it hangs'}; where all ranks stood: "
            f"{stacks_of(self.job.log, rank.number).with_name('stacks-rank-*.txt')}",
            "run the same command again to go on, or allow more time with --hang-timeout",
            ExitCode.HUNG,
        )

    def _dump_stacks(self) -> None:
        self.ask(DUMP)
        for rank in self.ranks:
            if rank.beat and rank.beat.here and rank.report is None and _runs(rank.beat.pid, str(self.folder)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rank.beat.pid, DUMP_SIGNAL)  # also where no thread of Python comes to run
                    os.kill(rank.beat.pid, signal.SIGCONT)
        time.sleep(2 * EVERY_S + 0.5)

    def _show_last_lines(self, rank: Rank) -> bool:
        paths = (log_of(self.job.log, rank.number), out_of(self.job.log, rank.number))
        shown = [_show(path, f"rank {rank.number}: ") for path in paths]
        return any(shown)

    def _end(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        until = time.monotonic() + END_S
        if all(rank.report for rank in self.ranks):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
        else:
            self.ask(END)  # those that are not ours to kill
        for last in (number, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(last)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(END_S)
        while time.monotonic() < until and any(rank.beat and not rank.gone and rank.beat.here for rank in self.ranks):
            time.sleep(LOOK_EVERY_S)


def started(
    words: Sequence[str], lock_fd: int, log: Path, env: dict[str, str], end: signal.Signals = signal.SIGKILL
) -> subprocess.Popen[bytes]:
    """Start what starts the ranks. end: what it gets when this process dies.

    Its input is the run's lock: torchrun closes every other descriptor, and an orphan must keep the run locked. Its
    output is the user's screen, for the first rank; what it says itself goes to `log`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("ab") as said:
        return subprocess.Popen(
            words,
            stdin=lock_fd,
            stdout=2,
            stderr=said,
            # PYTHONSAFEPATH: a folder called `data` where the user stands is none of ours
            env={**os.environ, **env, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
            start_new_session=True,  # Ctrl-C reaches us, and we tell the ranks
            preexec_fn=functools.partial(end_with_parent, os.getpid(), end),
        )


def python() -> str:
    """The interpreter of the ranks: this one."""
    return sys.executable


def _runs(pid: int, word: str = "") -> bool:
    # a zombie has ended: its parent has not looked yet
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX" and word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OSError:  # no /proc on this system
        return not word


def _show(path: Path, mark: str = "") -> bool:
    """Whether there was anything to show."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()][-LINES:]
    for line in lines:
        LOG.warning(f"{mark}{line}")
    return bool(lines)
