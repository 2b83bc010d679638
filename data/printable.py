"""Texts of strangers where people read them: on a terminal, in a log, in a spreadsheet."""

import logging
from types import TracebackType

# what spreadsheets take for the beginning of a formula; the last four are the full-width forms
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def printable(text: str) -> str:
    """One line without anything that a terminal obeys: control characters, line breaks, marks of direction."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def harmless(cell: str) -> str:
    """A cell of a CSV that people open: printable, and what a spreadsheet would run as a formula begins with '.

    For tables that nothing reads back; in those a name must stay what it is.
    """
    shown = printable(cell)
    return f"'{shown}" if cell.startswith(FORMULA) else shown


def printable_lines(text: str) -> str:
    """A text of several lines, such as a traceback, each of them printable."""
    return "\n".join(map(printable, text.splitlines()))


def shortened(text: str, length: int = 80) -> str:
    """A text of a user's as messages show it: of a long one the beginning and the end."""
    return text if len(text) <= length else f"{text[: length - 30]}...{text[-27:]}"


class PrintableFormatter(logging.Formatter):
    """Lines of a log: a message is one line whatever it quotes, so none can pass for another's."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's own name
        """See logging.Formatter."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:  # type: ignore[override]  # noqa: N802
        """See logging.Formatter."""
        return printable_lines(super().formatException(ei))
