"""What nobody foresaw, as the three lines that people see; its traceback is in the run's log."""

from data.errors import ChainError
from pipeline.directory.layout import Layout
from pipeline.failures import ERROR_LOG, explained, internal, log_traceback


def refusal(error: Exception, layout: Layout) -> ChainError:
    """Of any error."""
    log_traceback(error, layout)
    return explained(error, "serve") or internal(error, "serve", layout.logs / ERROR_LOG)
