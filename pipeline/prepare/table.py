"""table.csv: one row a unit."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from data.files.atomic import write_bytes
from data.printable import harmless
from pipeline.prepare.rows import Cell, Row, cells, columns


def write_table(path: Path, rows: Sequence[Row]) -> bool:
    """Write the table, rows in the order of the input; returns whether it is another than the one that stood.

    Cells that a spreadsheet would run as a formula begin with ', control characters are spelled out.
    """
    content = _text(rows).encode("utf-8", "backslashreplace")
    if path.is_file() and path.read_bytes() == content:
        return False
    write_bytes(path, content)
    return True


def _text(rows: Sequence[Row]) -> str:
    head = columns(rows)
    written = io.StringIO(newline="")
    table = csv.writer(written, lineterminator="\n")
    table.writerow([_harmless(name) for name in head])
    table.writerows([_harmless(cell) for cell in cells(row, head)] for row in rows)
    return written.getvalue()


def _harmless(cell: Cell) -> Cell:
    return harmless(cell) if isinstance(cell, str) else cell
