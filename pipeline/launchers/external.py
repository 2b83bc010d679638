"""Ranks that others start (Kubernetes, MPI): each runs the same command, with RANK, WORLD_SIZE, MASTER_ADDR and
MASTER_PORT set. Rank 0 orchestrates, which is here; the others follow it (following.py) through a folder of the run
directory (orders.py), and as long as that is not theirs through a port (door.py).
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from pipeline.launchers import door
from pipeline.launchers.group import Group, python, started
from pipeline.launchers.in_process import InProcess
from pipeline.launchers.orders import FOLDER, LOOK_EVERY_S, MEET_S, ORDER, read_order
from stages.job import Job
from stages.process import signals
from stages.process.heartbeat import EVERY_S, ORPHANED_S, beating
from stages.registry import KINDS

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def place(environment: Mapping[str, str]) -> tuple[int, int]:
    """(rank, world size) from the environment. Raises ChainError (2) where it does not say."""
    absent = [name for name in NEEDED if name not in environment]
    numbers = [environment.get(name, "") for name in ("RANK", "WORLD_SIZE", "MASTER_PORT")]
    fit = not absent and all(number.isdecimal() and len(number) < 10 for number in numbers)
    if not fit or int(numbers[0]) >= int(numbers[1]) or not 0 < int(numbers[2]) <= door.LAST_PORT:
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
        self._door = door.opened()

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
                if read_order(self.folder / ORDER) in ({}, self.order):
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
        unheard = self._missing()
        self._door = self._door or (door.opened() if unheard else None)
        if self._door is not None:
            door.answer(self._door, unheard, code)

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
