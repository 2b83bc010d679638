"""Ctrl-C and pre-emption. Every write is atomic, so every moment is a safe one to end at; some are cheaper.

Where work comes in batches, the first signal is a flag only: the ranks agree on it between two batches, save and end.
The second one, or --grace seconds, ends at once. Everywhere else the first signal does.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from data.errors import ExitCode

PREEMPTIONS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
GRACE_S = 60.0
AGAIN_S = 5.0  # from one `Ended` to the next, where a library swallowed it


class Ended(BaseException):
    """Raised in the main thread by a signal. Not an Exception: nothing on the way may swallow it."""

    def __init__(self, code: ExitCode, saved: str = "") -> None:
        super().__init__(code.name)
        self.code = code
        self.saved = saved  # how far it came, for people
        self.at = ""  # the step that was being worked on


class Watch:
    """What arrived, for code that runs where a library swallowed the exception."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.code: ExitCode | None = None
        self.grace_s = grace_s
        self.between_batches = False  # whether the running code asks for the flag itself
        self.raised = False

    def check(self) -> None:
        """Raise Ended if a signal arrived at any time."""
        if self.code is not None:
            raise Ended(self.code)

    def install(self) -> None:
        """Take the signals, also from a library that took them for itself."""
        for number in (signal.SIGINT, signal.SIGALRM, *PREEMPTIONS):
            # nohup asks for just this: the terminal goes, the work stays
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != _owner:  # a forked loader worker: it has nothing to save
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        first = self.code is None
        if first and number != signal.SIGALRM:
            self.code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.PREEMPTED
        if first and self.between_batches and self.grace_s > 0:
            os.write(2, b"stopping after this batch; the same signal again stops at once\n")
            signal.setitimer(signal.ITIMER_REAL, self.grace_s)
            return
        if self.raised and number != signal.SIGALRM:
            return  # it is ending: raised in the middle of what cleans up, it would be shown as a traceback and lost
        self.raised = True
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise Ended(self.code or ExitCode.PREEMPTED)


_current: Watch | None = None
_owner = 0


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Around `watched`, while libraries are imported and a configuration is read: jobs are requeued by the code."""

    def end(number: int, frame: FrameType | None) -> None:
        for each in PREEMPTIONS:
            signal.signal(each, _too_late)
        raise Ended(ExitCode.PREEMPTED)

    before = {number: signal.getsignal(number) for number in PREEMPTIONS}
    for number in PREEMPTIONS:
        if before[number] == signal.SIG_DFL:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is end:
                signal.signal(number, handler)


@contextlib.contextmanager
def watched(grace_s: float = GRACE_S) -> Iterator[Watch]:
    """Ctrl-C ends with 130; SIGTERM, SIGHUP and SIGUSR1 with 75. grace_s: how long a batch may take to come to its end.

    For the main thread; one at a time. After a signal the process is about to end, and later ones change nothing.
    """
    global _current, _owner
    watch = Watch(grace_s)
    numbers = (signal.SIGINT, signal.SIGALRM, *PREEMPTIONS)
    before = {number: signal.getsignal(number) for number in numbers}
    _current, _owner = watch, os.getpid()
    watch.install()
    try:
        yield watch
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler if watch.code is None else _too_late)
        _current = None


def _too_late(number: int, frame: FrameType | None) -> None:
    """The run ends by an earlier signal: another one must not take its exit code from it."""


@contextlib.contextmanager
def between_batches() -> Iterator[None]:
    """A block that asks `asked` after every batch, and saves before it ends: here the first signal is a flag only."""
    if _current is None:
        yield
        return
    _current.check()
    _current.between_batches = True
    try:
        yield
    finally:
        _current.between_batches = False
        signal.setitimer(signal.ITIMER_REAL, 0)
    _current.check()  # it came after the last batch


def grace_s() -> float:
    """How long a batch may take to come to its end after a signal."""
    return _current.grace_s if _current else GRACE_S


def asked() -> bool:
    """Whether a signal asked this process to end."""
    return _current is not None and _current.code is not None


def code() -> ExitCode:
    """What to end with: of the signal that came, or that another rank says came."""
    return (_current.code if _current else None) or ExitCode.PREEMPTED


def take_back() -> None:
    """Lightning takes SIGTERM while it works, and broadcasts inside the handler: take it back."""
    if _current is not None and threading.current_thread() is threading.main_thread():
        _current.install()
