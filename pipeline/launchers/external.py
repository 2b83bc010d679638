"""Ranks that others start (Kubernetes, MPI): each runs the same command, with RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT set. Rank 0 orchestrates; the others follow it through a folder of the run directory.

A follower knows an order that is meant for it by its own token: what an earlier start left behind names other tokens.
Before the first stage the run directory may be another's, or none: until then rank 0 speaks through a port.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from pipeline.launchers.group import Group, python, started
from pipeline.launchers.in_process import InProcess
from pipeline.launchers.report import Report
from stages.job import Job
from stages.process import signals
from stages.process.heartbeat import END, EVERY_S, ORPHANED_S, Beat, beating
from stages.registry import KINDS

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
FOLDER = ".ranks"
ORDER = "order.json"
LOOK_EVERY_S = 0.5
MEET_S = 600.0
ANSWER_S = 30.0  # ranks are started within seconds of each other
CONNECT_S = 5.0
NAME_S = 0.5  # a follower says who it is as soon as it is connected
BESIDE, LAST_PORT = 1000, 65535


def place(environment: Mapping[str, str]) -> tuple[int, int]:
    """(rank, world size) from the environment. Raises ChainError (2) where it does not say."""
    absent = [name for name in NEEDED if name not in environment]
    numbers = [environment.get(name, "") for name in ("RANK", "WORLD_SIZE", "MASTER_PORT")]
    fit = not absent and all(number.isdecimal() and len(number) < 10 for number in numbers)
    if not fit or int(numbers[0]) >= int(numbers[1]) or not 0 < int(numbers[2]) <= LAST_PORT:
        raise ChainError(
            f"--launcher external: {', '.join(absent) or 'RANK, WORLD_SIZE or MASTER_PORT'} "
            f"{'is not set' if len(absent) == 1 else 'are not set' if absent else 'is no fitting number'}",
            "whoever starts the ranks tells each its place by these variables",
            "see docs/cluster.md; on one machine use --devices N instead",
            ExitCode.USAGE,
        )
    return int(numbers[0]), int(numbers[1])


class External:
    """See Launcher; that of rank 0."""

    def __init__(self, root: Path) -> None:
        self.folder, (_, self.world) = root / FOLDER, place(os.environ)
        self.order: dict[str, Any] = {"number": 0, "command": [], "members": {}}
        self._seen: dict[str, str] = {}  # what stands in the seat of each rank
        self._silent: dict[str, int] = {}  # how many looks in a row it was the same
        self._saying = threading.Lock()  # who is there is said by the heartbeat's thread, what to do by the chain's
        self._meeting: contextlib.ExitStack | None = None
        self._door = _door()

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Around the chain: followers end with it, and with its exit code."""
        code = ExitCode.INTERNAL
        try:
            yield
            code = ExitCode.DONE
        except (ChainError, signals.Ended) as error:
            code = error.code
            raise
        finally:
            if self._meeting is not None:
                self._meeting.close()
                # a folder that another start has taken is not ours to speak in, and what no disk takes is said nowhere
                if _read(self.folder / ORDER) in ({}, self.order):
                    with contextlib.suppress(OSError):
                        self._say(done=int(code))
            self._answer(code)

    def launch(self, job: Job, lock_fd: int) -> str:
        """See Launcher."""
        self._meet()
        if not KINDS[job.kind].ranks:
            return InProcess().launch(job, lock_fd)
        self._wait_for_all(job.hardware.hang_timeout_s or MEET_S)
        group = Group(job, self.world)
        self._say(number=self.order["number"] + 1, command=group.command)
        words = [python(), *group.command]  # its own rank; its environment says which
        return group.run(lambda: started(words, lock_fd, job.log / "launcher.log", {}), lost=self._left)

    def _meet(self) -> None:
        if self._meeting is not None:
            return
        # not before the first stage: only then the run directory is ours
        self.folder.mkdir(exist_ok=True)
        # of an earlier start; followers that live say so again, also those that do so just now
        for path in [self.folder / ORDER, *self._seats()]:
            path.unlink(missing_ok=True)
        self._meeting = contextlib.ExitStack()
        self._meeting.enter_context(beating(self.folder / "orchestrator", self._take_in))
        self._close_door()  # who waits there finds an order in the folder

    def _say(self, **news: Any) -> None:
        with self._saying:
            order = self.order | news
            write_json(self.folder / ORDER, order)
            self.order = order

    def _take_in(self) -> None:
        # a full disk or a moment without the file system must not end the heartbeat: in a second it is tried again
        with contextlib.suppress(OSError):
            said = {path.name.removeprefix("follower-"): path.read_text() for path in self._seats()}
            # looks, not seconds: whoever stood still for an hour itself has not looked
            self._silent = {
                rank: self._silent.get(rank, 0) + 1 if self._seen.get(rank) == text else 0
                for rank, text in said.items()
            }
            self._seen = said
            members = {rank: words[0] for rank, text in said.items() if (words := text.split())}
            if members != self.order["members"]:
                self._say(members=members)

    def _left(self, rank: int) -> bool:
        """Whether a follower is gone: a minute of silence, and another one in which its like may take the seat."""
        return self._silent.get(str(rank), 0) * EVERY_S > 2 * ORPHANED_S

    def _close_door(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None

    def _answer(self, code: ExitCode) -> None:
        """Tell followers that have no order how the chain ended: who waits, and who comes soon.

        Anybody may ask, but only followers say who they are and are waited for.
        """
        unheard = self._missing()
        self._door = self._door or (_door() if unheard else None)
        if self._door is None:
            return
        until = time.monotonic() + ANSWER_S
        # a signal ends the waiting: how the chain ended stays what it was
        with self._door, contextlib.suppress(TimeoutError, signals.Ended):
            while unheard and (left := until - time.monotonic()) > 0:
                self._door.settimeout(left)
                line, _ = self._door.accept()
                with line, contextlib.suppress(OSError):
                    line.sendall(str(int(code)).encode())
                    line.settimeout(NAME_S)
                    unheard.discard(line.recv(20).decode(errors="replace"))

    def _missing(self) -> set[str]:
        """The ranks that have not come."""
        return {str(number) for number in range(1, self.world)}.difference(self.order["members"])

    def _seats(self) -> list[Path]:
        return sorted(self.folder.glob("follower-*"))

    def _wait_for_all(self, patience_s: float) -> None:
        until = time.monotonic() + patience_s
        while missing := self._missing():
            if time.monotonic() > until:
                raise ChainError(
                    f"{len(missing)} of {self.world} ranks have not come, the first is {min(map(int, missing))}",
                    f"waited {patience_s:.0f} s for them to follow",
                    "every rank runs the same command and sees the same run directory: see docs/cluster.md",
                    ExitCode.HUNG,
                )
            time.sleep(LOOK_EVERY_S)


def _door() -> socket.socket | None:
    """Where followers wait for an answer as long as they have no order; None where the port is another's."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    with contextlib.suppress(OSError):
        return socket.create_server(("", _port()), family=family, dualstack_ipv6=both)
    return None


def _port() -> int:
    """Beside that of torch, which torchrun's agent holds from the start; far from it, where other chains may meet."""
    port = int(os.environ["MASTER_PORT"])
    return port + BESIDE if port + BESIDE <= LAST_PORT else port - BESIDE


class _Answer:
    """What rank 0 answers a follower that has no order yet. `code`: None as long as it has said nothing."""

    def __init__(self, rank: int) -> None:
        self.rank = str(rank)
        self.code: ExitCode | None = None
        self.needless = threading.Event()
        threading.Thread(target=self._ask, name="answer", daemon=True).start()

    def _ask(self) -> None:
        place = os.environ["MASTER_ADDR"], _port()
        while self.code is None and not self.needless.wait(LOOK_EVERY_S):
            # before rank 0 has come, and once there are orders, nobody is there, or somebody who says something else
            with contextlib.suppress(OSError, ValueError), socket.create_connection(place, CONNECT_S) as line:
                line.sendall(self.rank.encode())
                line.settimeout(None)
                self.code = ExitCode(int(line.recv(4)))


def follow(root: Path, rank: int) -> None:
    """Any other rank: do its part of every stage until the first one says that the chain has ended.

    Raises ChainError: with the code the chain ended with where it is no success, 124 where nobody gives orders.
    """
    folder, token, done = root / FOLDER, uuid.uuid4().hex, 0
    answer = _Answer(rank)
    seat = _Seat(folder / f"follower-{rank}", token)
    patience, seen, seen_at, begun = MEET_S, None, time.monotonic(), time.monotonic()
    with _child() as child, signals.between_batches():
        while True:
            order = _read(folder / ORDER)
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


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(path.read_bytes()))
    return {}


def _refuse_end(code: int) -> None:
    if code in (ExitCode.PREEMPTED, ExitCode.INTERRUPTED):
        raise signals.Ended(ExitCode(code))
    if code != ExitCode.DONE:
        raise ChainError("the chain ended early", "rank 0 says why", "see what it printed", ExitCode(code))
