"""Ctrl-C and pre-emption end the run at once: every write is atomic, so every moment is a safe one."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

from data.errors import ExitCode

PREEMPTIONS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class Ended(BaseException):
    """Raised in the main thread by a signal. Not an Exception: nothing on the way may swallow it."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code.name)
        self.code = code
        self.at = ""  # the step that was being worked on


class Watch:
    """What arrived, for code that runs where a library swallowed the exception."""

    def __init__(self) -> None:
        self.code: ExitCode | None = None

    def check(self) -> None:
        """Raise Ended if a signal arrived at any time."""
        if self.code is not None:
            raise Ended(self.code)


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """Ctrl-C becomes Ended(130); SIGTERM, SIGHUP and SIGUSR1 become Ended(75)."""
    watch, owner = Watch(), os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked loader worker: it has nothing to save
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        watch.code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.PREEMPTED
        raise Ended(watch.code)

    numbers = (signal.SIGINT, *PREEMPTIONS)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
