"""Figures in aligned columns. Names come from users: nothing in them reaches the terminal as a control character."""

import shutil
from collections.abc import Sequence

from data.printable import printable


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Lines of a table; the columns numbered in `left` are text, the others figures.

    On a terminal that is too narrow the columns go on below, each block with the first column again.
    """
    cells = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines: list[str] = []
    for block in _blocks(widths, shutil.get_terminal_size((10_000, 24)).columns):
        if lines:
            lines.append("")
        lines += ["  " + "  ".join(_fitted(row, widths, left, block)).rstrip() for row in cells]
    return lines


def percent(share: float | None, digits: int = 1) -> str:
    """0.873 -> 87.3 %; unknown -> -."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def area(value: float | None) -> str:
    """Under a ROC curve: 0.9341 -> 0.934; unknown -> -."""
    return "-" if value is None else f"{value:.3f}"


def count(number: int | None) -> str:
    """12345 -> 12,345; unknown -> -."""
    return "-" if number is None else f"{number:,}"


def size(n_bytes: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def duration(seconds: float) -> str:
    """4000 -> 1 h 07 min."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _blocks(widths: Sequence[int], columns: int) -> list[list[int]]:
    """Numbers of the columns that stand side by side, block by block."""
    blocks, used = [[0]], 2 + widths[0]
    for i, width in enumerate(widths[1:], 1):
        if used + 2 + width > columns and len(blocks[-1]) > 1:
            blocks.append([0])
            used = 2 + widths[0]
        blocks[-1].append(i)
        used += 2 + width
    return blocks


def _fitted(row: Sequence[str], widths: Sequence[int], left: Sequence[int], block: Sequence[int]) -> list[str]:
    return [row[i].ljust(widths[i]) if i in left else row[i].rjust(widths[i]) for i in block]
