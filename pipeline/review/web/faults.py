"""What nobody foresaw, as the three lines that people see; its traceback is in the run's log."""

import contextlib
import traceback

from data.errors import ChainError
from data.printable import printable_lines
from pipeline.directory.layout import Layout
from pipeline.failures import explained, internal


def refusal(error: Exception, layout: Layout) -> ChainError:
    """Of any error."""
    log = layout.logs / "error.log"
    with contextlib.suppress(OSError):
        layout.logs.mkdir(exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(printable_lines("".join(traceback.format_exception(error))) + "\n")
    return explained(error, "serve") or internal(error, "serve", log)
