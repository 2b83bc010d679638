"""What any rank but the first does where somebody else started them all: its part of every stage, as rank 0 orders.

A follower knows an order that is meant for it by its own token: what an earlier start left behind names other tokens.
"""

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from data.errors import ChainError, ExitCode
from pipeline.launchers.door import Answer
from pipeline.launchers.group import python, started
from pipeline.launchers.orders import FOLDER, LOOK_EVERY_S, MEET_S, ORDER, read_order
from pipeline.launchers.report import Report
from stages.process import signals
from stages.process.heartbeat import END, ORPHANED_S, Beat


def follow(root: Path, rank: int) -> None:
    """Any other rank: do its part of every stage until the first one says that the chain has ended.

    Raises ChainError: with the code the chain ended with where it is no success, 124 where nobody gives orders.
    """
    folder, token, done = root / FOLDER, uuid.uuid4().hex, 0
    answer = Answer(rank)
    seat = _Seat(folder / f"follower-{rank}", token)
    patience, seen, seen_at, begun = MEET_S, None, time.monotonic(), time.monotonic()
    with _child() as child, signals.between_batches():
        while True:
            order = read_order(folder / ORDER)
            named = order.get("members", {}).get(str(rank))
            mine = named == token
            if mine and "done" in order:
                _refuse_end(order["done"])
                return
            if mine:
                answer.needless.set()
            elif answer.code is not None:
                _refuse_end(answer.code)
                return
            # another of this rank is there where the same chain was started twice, and keeps its place while it lives
            if mine:
                seat.keep()
            elif named is None or seat.left():
                seat.take()
            elif seat.kept(named):
                raise ChainError(
                    f"rank {rank}: {root} is in use",
                    f"another start of this chain has a rank {rank} of its own, which is at work",
                    "wait for that chain to end",
                    ExitCode.IN_USE,
                )
            beat = Beat.read(folder / "orchestrator")
            if mine and beat != seen:
                seen, seen_at, patience = beat, time.monotonic(), ORPHANED_S
            if time.monotonic() - max(seen_at, begun) > patience:
                raise ChainError(
                    f"rank {rank}: nothing is heard of rank 0",
                    f"it runs the chain, and was silent for {patience:.0f} s",
                    "see what rank 0 said; start all ranks again to go on",
                    ExitCode.HUNG,
                )
            if mine and order["number"] > done:
                done = order["number"]
                child.start(order["command"], rank)
            child.look()
            child.pass_on()
            time.sleep(LOOK_EVERY_S)


def _refuse_end(code: int) -> None:
    if code in (ExitCode.PREEMPTED, ExitCode.INTERRUPTED):
        raise signals.Ended(ExitCode(code))
    if code != ExitCode.DONE:
        raise ChainError("the chain ended early", "rank 0 says why", "see what it printed", ExitCode(code))


class _Seat:
    """The file by which a follower says, again and again, that it is there."""

    def __init__(self, path: Path, token: str) -> None:
        self.path, self.token, self.times = path, token, 0
        self._said_at = self._seen_at = time.monotonic()
        self._seen = self._kept = ""

    def keep(self) -> None:
        """Say so again, several times in what `left` waits for: every file costs a shared file system work."""
        if time.monotonic() - self._said_at > ORPHANED_S / 6:
            self.take()

    def take(self) -> None:
        """Say so; nothing is said before there is a run, and the folder may be made anew at any moment."""
        self.times, self._said_at = self.times + 1, time.monotonic()
        part = self.path.with_name(f".{self.path.name}.{self.token}.part")
        with contextlib.suppress(OSError):
            part.write_text(f"{self.token} {self.times}")
            part.replace(self.path)

    def left(self) -> bool:
        """Whether nobody has said so for a minute."""
        said = self._said()
        if said != self._seen:
            self._seen, self._seen_at = said, time.monotonic()
        return time.monotonic() - self._seen_at > ORPHANED_S

    def kept(self, token: str) -> bool:
        """Whether the follower of that token has said so again since this was asked first."""
        said = self._said()
        if said.partition(" ")[0] != token:
            return False
        before, self._kept = self._kept, said
        return before.partition(" ")[0] == token and before != said

    def _said(self) -> str:
        with contextlib.suppress(OSError):
            return self.path.read_text()
        return ""


class _Child:
    """The process that does this rank's part of the present stage."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.folder, self.rank = Path(), 0
        self.told = False

    def start(self, command: list[str], rank: int) -> None:
        self.end()
        self.folder, self.rank = Path(command[2]), rank
        log = self.folder / f"rank-{rank}.out"
        with Path(os.devnull).open("rb") as nothing:
            self.process = started([python(), *command], nothing.fileno(), log, {})

    def look(self) -> None:
        """End it where the stage has ended, and say so where it died without a word."""
        if self.process is None:
            return
        with contextlib.suppress(OSError):
            if END in (self.folder / "asked").read_text().split():
                self.end()
                return
        code, path = self.process.poll(), self.folder / f"report-{self.rank}.json"
        if code is None:
            return
        self.process = None
        if not path.exists() and self.folder.exists():
            what = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
            Report.of(
                ChainError(
                    f"rank {self.rank} died ({what})",
                    "somebody or the system killed it (out of memory?), or a library crashed",
                    "run the same command again to go on",
                    ExitCode.INTERNAL,
                )
            ).save(path)

    def pass_on(self) -> None:
        """A signal to this process is one to its rank, which agrees with the others where to end."""
        if not signals.asked() or self.told:
            return
        self.told = True
        if self.process is None:
            raise signals.Ended(signals.code())
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def _child() -> Iterator[_Child]:
    child = _Child()
    try:
        yield child
    finally:
        child.end()
