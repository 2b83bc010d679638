"""Faults on purpose, so that what the program promises of them is tested: `CHAIN_FAULT=<point>@<nth>@<kind>`.

The nth time a process comes to that point, the fault strikes there. Without the variable nothing here does anything.
Which points there are, the program says itself: `python -m pipeline.fault_points`.
"""

import errno
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from data.errors import ChainError, ExitCode

VARIABLE = "CHAIN_FAULT"
COUNT = "count"  # in place of a fault: only count how often each point is passed
ANYWHERE = ("kill", "term", "exc", "enospc", "eio", "hang", "oom")
KINDS = (*ANYWHERE, "torn", "nan")


class InjectedError(Exception):
    """The error of nobody: what `exc` raises."""


@dataclass(frozen=True)
class Fault:
    """What strikes, where, and which time."""

    point: str
    nth: int
    kind: str


seen: Counter[str] = Counter()
_armed: Fault | str | None = None
_read = False


def arm(text: str | None) -> None:
    """Set what strikes, and count from zero. None or "": nothing. Raises ChainError (2) for what is no fault."""
    global _armed, _read
    _armed, _read = (_parsed(text) if text and text != COUNT else text or None), True
    seen.clear()


def point(name: str) -> None:
    """A place where a process can end or a call can fail."""
    kind = _due(name)
    if kind:
        _strike(name, kind)


def written(name: str, path: Path) -> None:
    """A place where `path` has just been written: it can also be torn, half of it there and the process gone."""
    kind = _due(name)
    if kind == "torn":
        os.truncate(path, path.stat().st_size // 2)
        kind = "kill"
    if kind:
        _strike(name, kind)


def poisoned(name: str) -> bool:
    """Whether what was computed here is to be not a number."""
    return _due(name) == "nan"


def _due(name: str) -> str | None:
    if not _read:
        arm(os.environ.get(VARIABLE))
    if _armed is None:
        return None
    seen[name] += 1
    if isinstance(_armed, Fault) and _armed.point == name and seen[name] == _armed.nth:
        os.write(2, f"injected: {_armed.kind} at {name}, time {_armed.nth}\n".encode())
        return _armed.kind
    return None


def _strike(name: str, kind: str) -> None:
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    elif kind == "hang":
        _hang()
    elif kind == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
    elif kind == "eio":
        raise OSError(errno.EIO, os.strerror(errno.EIO), name)
    elif kind == "oom":
        raise MemoryError(f"injected at {name}")
    elif kind == "exc":
        raise InjectedError(name)


def _hang() -> NoReturn:
    while True:
        time.sleep(3600)


def _parsed(text: str) -> Fault:
    name, _, rest = text.partition("@")
    nth, _, kind = rest.partition("@")
    if not name or not nth.isdecimal() or int(nth) < 1 or kind not in KINDS:
        raise ChainError(
            f"{VARIABLE}={text!r} is no fault",
            f"expected POINT@NTH@KIND with NTH from 1 and KIND one of {', '.join(KINDS)}",
            "unset it, or see the points: python -m pipeline.fault_points",
            ExitCode.USAGE,
        )
    return Fault(name, int(nth), kind)
