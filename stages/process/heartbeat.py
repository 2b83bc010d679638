"""A rank shows that it lives and how far it came; whoever watches ranks asks them through the same folder.

Files, because ranks may be on other machines and every machine sees the run directory. What is read again and again
is opened again and again, which is when a network file system looks for news.
"""

import contextlib
import faulthandler
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

EVERY_S = 1.0
ORPHANED_S = 60.0  # on another machine: without a sign of life of the orchestrator
# what a folder can ask of its ranks
DUMP = "dump"  # write down where all threads stand
STOP = "stop"  # save and end, as after the signal that is named
END = "end"  # leave at once

_ticks = 0
_at = ""


def tick(at: str = "") -> None:
    """The work came further: a batch, a shard, a look at what others do. at: how far, where that can be said."""
    global _ticks, _at
    _ticks += 1
    _at = at or _at


@dataclass(frozen=True)
class Beat:
    """`beats`: how often it was written, so that a process that stands still is told from one that waits.

    at: how far its work came, in words.
    """

    pid: int
    host: str
    beats: int
    ticks: int
    at: str = ""

    @property
    def here(self) -> bool:
        """Whether its process runs on this machine."""
        return self.host == socket.gethostname()

    @staticmethod
    def read(path: Path) -> "Beat | None":
        """None before the first one, and in the instant of writing."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid, host, beats, ticks, *at = path.read_text().split()
            return Beat(int(pid), host, int(beats), int(ticks), " ".join(at))
        return None


@contextlib.contextmanager
def beating(path: Path, each: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Write a Beat to `path` every second, from a thread; `each` is called after it."""
    done, beats = threading.Event(), 0

    def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            part = path.with_name(f".{path.name}.part")
            # a full disk must not end what still works; a watcher notices the silence
            with contextlib.suppress(OSError):
                part.write_text(f"{os.getpid()} {socket.gethostname()} {beats} {_ticks} {_at}")
                part.replace(path)
            each()
            if done.wait(EVERY_S):
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(EVERY_S)


class Watched:
    """What a rank does once a second beside its work: obey the folder, and end when nobody watches it any more."""

    def __init__(self, asked: Path, orchestrator: Path, stacks: TextIO) -> None:
        self.asked, self.orchestrator, self.stacks = asked, orchestrator, stacks
        self._dumped = self._stopped = False
        self._seen: Beat | None = None
        self._seen_at = time.monotonic()

    def look(self) -> None:
        """Dump stacks or stop if asked to; leave at once as an orphan."""
        with contextlib.suppress(OSError):
            words = self.asked.read_text().split()
            if END in words:
                os._exit(1)
            if DUMP in words and not self._dumped:
                self._dumped = True
                faulthandler.dump_traceback(self.stacks)
            if STOP in words and not self._stopped:
                self._stopped = True
                number = signal.SIGINT if "SIGINT" in words else signal.SIGTERM
                os.kill(os.getpid(), number)
        self._leave_orphaned()

    def _leave_orphaned(self) -> None:
        beat = Beat.read(self.orchestrator)
        if beat is None or beat != self._seen:
            self._seen, self._seen_at = beat or self._seen, time.monotonic() if beat else self._seen_at
        gone = time.monotonic() - self._seen_at > ORPHANED_S
        if self._seen is not None and self._seen.here:
            gone = not _alive(self._seen.pid)  # it may be stopped for an hour, by Ctrl-Z
        if gone:
            os._exit(1)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
