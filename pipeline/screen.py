"""What is logged, as lines on stderr."""

import contextlib
import io
import logging
import os
import sys

from data.printable import printable

LOG = logging.getLogger("patchchain")


class _Screen(logging.Handler):
    """Lines on stderr; looked up each time, so that a progress bar can print them above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):
            mark = "warning: " if record.levelno >= logging.WARNING else ""
            print(f"{mark}{printable(record.getMessage())}", file=sys.stderr, flush=True)


def open_streams() -> None:
    """Where a shell closed input, output or errors (`>&-`), put /dev/null there; what a terminal lacks is escaped.

    The next file that is opened would get that number, and what anybody prints would be written into it.
    """
    for number, mode, name in ((0, "r", "stdin"), (1, "w", "stdout"), (2, "w", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as Python has it for errors


def log_to_screen(quiet: bool) -> None:
    """Show what is logged from now on; only warnings and worse where `quiet`."""
    logging.raiseExceptions = False  # a log that cannot be written must not end, or clutter, the work
    screen = _Screen(logging.WARNING if quiet else logging.INFO)
    for handler in [handler for handler in LOG.handlers if isinstance(handler, _Screen)]:
        LOG.removeHandler(handler)
    LOG.addHandler(screen)
    LOG.setLevel(logging.INFO)


def is_quiet() -> bool:
    """Whether only warnings and worse are shown; also where nothing was asked to be."""
    return all(handler.level > logging.INFO for handler in LOG.handlers if isinstance(handler, _Screen))
