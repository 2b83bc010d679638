"""The one error a user sees: what happened, why, and what to do, with a stable exit code."""

from enum import IntEnum

from data.printable import printable


class ExitCode(IntEnum):
    """Stable, documented process exit codes (README, "Exit codes")."""

    DONE = 0
    USAGE = 2
    DIVERGED = 3
    BAD_DATA = 65
    MISSING = 66
    IN_USE = 69
    INTERNAL = 70
    OUT_OF_MEMORY = 71
    NOT_WRITABLE = 73
    IO = 74
    PREEMPTED = 75
    DAMAGED = 76
    MISMATCH = 78
    HUNG = 124
    INTERRUPTED = 130


class ChainError(Exception):
    """A refusal: one line what, one line why, one line what to do.

    `what` names the file, key, patch or slide. Raised for everything a user can mend;
    `assert` is for ourselves.
    """

    def __init__(self, what: str, why: str, todo: str, code: ExitCode) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.todo = todo
        self.code = code

    def lines(self) -> list[str]:
        """Exactly what is printed: at most three lines, none with a line break or control character inside."""
        return [_one_line(f"error: {self.what}"), _one_line(f"  why: {self.why}"), _one_line(f"  do:  {self.todo}")]


def _one_line(text: str) -> str:
    # file and class names are the user's (or an attacker's): no terminal escapes, no extra lines
    shown = printable(text)
    return shown if len(shown) <= 400 else shown[:397] + "..."
