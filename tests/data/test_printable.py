import logging
import sys

from data.errors import ChainError, ExitCode
from data.printable import PrintableFormatter, printable, printable_lines


def test_nothing_that_a_terminal_obeys_is_left():
    assert printable("\x1b[31mred\x07\r\n\u202ecod.exe\u2028\udc80\u00e9") == (
        "\\x1b[31mred\\x07\\x0d\\x0a\\x202ecod.exe\\x2028\\xdc80\u00e9"
    )
    assert printable_lines("a\nb\x1b\n") == "a\nb\\x1b"
    assert printable("Gr\u00f6\u00dfe \u75c5\u7406 = 1") == "Gr\u00f6\u00dfe \u75c5\u7406 = 1"


def test_a_message_of_a_log_is_one_line_and_a_traceback_keeps_its_own():
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        about = sys.exc_info()
    record = logging.LogRecord("x", logging.INFO, "f", 1, "a\n2026 INFO forged %s", ("\x1b]0;t\x07",), about)
    head, *rest = PrintableFormatter("%(levelname)s %(message)s").format(record).split("\n")
    assert head == "INFO a\\x0a2026 INFO forged \\x1b]0;t\\x07"
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == "ValueError: \\x1b[2J"


def test_a_refusal_has_three_lines_whatever_it_quotes():
    lines = ChainError("a\nb\x1b[0m", "w" * 999, "d\r", ExitCode.BAD_DATA).lines()
    assert lines[0] == "error: a\\x0ab\\x1b[0m"
    assert len(lines) == 3
    assert max(map(len, lines)) == 400
    assert lines[2] == "  do:  d\\x0d"
