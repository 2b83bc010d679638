"""A name read off a path by a regular expression of the configuration, which may be a stranger's.

Repeats within repeats, as in (a+)+, can be tried in more ways than there is time for, on a path of 40 characters.
"""

import functools
import re
import signal
import threading
from types import FrameType
from typing import Annotated

from pydantic import AfterValidator

from data.errors import ChainError, ExitCode
from data.printable import shortened

SECONDS = 1.0  # of the processor, for a search that takes microseconds


class _EndlessError(Exception):
    pass


def _one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if groups != 1:
        raise ValueError(f"the expression must have exactly one group (...), not {groups}")
    return pattern


Pattern = Annotated[str, AfterValidator(_one_group)]


def read_off(pattern: str, key: str, what: str) -> str:
    """What its one group finds in a path, "" where it finds nothing. what: the pattern's key, for the message.

    Raises ChainError (78) where the search does not come to an end. Outside the main thread it is not stopped: Python
    takes signals there alone.
    """
    watched = threading.current_thread() is threading.main_thread()
    try:
        if watched:
            _listen()
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            found = re.search(pattern, key)
        finally:
            if watched:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except _EndlessError:
        raise ChainError(
            f"{what} {shortened(pattern)!r} does not come to an end in {shortened(key, 200)}",
            f"it was stopped after {SECONDS:g} s: a repeat within a repeat, such as (a+)+, is tried in every way",
            "write it with one repeat in place of the two",
            ExitCode.MISMATCH,
        ) from None
    return found[1] or "" if found else ""


@functools.cache  # nothing else here uses this signal, and to ask who has it takes longer than most searches
def _listen() -> None:
    signal.signal(signal.SIGVTALRM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _EndlessError
