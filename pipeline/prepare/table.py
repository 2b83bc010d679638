"""table.csv: one row a unit."""

import csv
from collections.abc import Sequence
from pathlib import Path

from data.atomic import replacing
from data.quarantine import harmless
from pipeline.prepare.rows import Row, cells, columns


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write the table, rows in the order of the input. Cells that a spreadsheet would run as a formula begin with '."""
    head = columns(rows)
    with replacing(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([harmless(name) for name in head])
        for row in rows:
            table.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in cells(row, head)])
