"""CSV tables that name volumes. Messages name lines and columns, never a cell: a cell may be the id of a person."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.patches.column_names import meant

MAX_BYTES = 256 << 20


def csv_rows(
    path: Path, called: str, needed: Sequence[str], more: Sequence[str] = ()
) -> Iterator[tuple[int, list[str]]]:
    """Line number and the stripped cells of the columns `needed` and `more`, in that order; absent ones are empty.

    called: what messages call the file: its key in the configuration. Other columns are passed over.
    Raises ChainError: 66 missing, 65 for what is no CSV, lacks a needed column, or has a row of another length.
    """
    wanted = [*needed, *more]
    for line, header, cells in _cells(path, called):
        if cells is None:
            _check_header(header, called, needed, wanted)
            at = {name: header.index(name) for name in wanted if name in header}
            continue
        if len(cells) != len(header):
            raise refused(called, line, f"it has {len(cells)} cells, the header has {len(header)}",
                          "mend the row (quote cells that hold commas)")  # fmt: skip
        yield line, [cells[at[name]].strip() if name in at else "" for name in wanted]


def refused(called: str, line: int, why: str, todo: str) -> ChainError:
    """The refusal of one line (65)."""
    return ChainError(f"{called}: line {line} is refused", why, todo, ExitCode.BAD_DATA)


def lines_text(lines: Sequence[int]) -> str:
    """`lines 3, 8, 9 and 12 more`."""
    shown = ", ".join(map(str, lines[:5]))
    return f"line{'s' if len(lines) > 1 else ''} {shown}" + (f" and {len(lines) - 5:,} more" if len(lines) > 5 else "")


def _cells(path: Path, called: str) -> Iterator[tuple[int, list[str], list[str] | None]]:
    """(line, header, None) once, then (line, header, cells) for every row that is not empty."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ChainError(f"{called} is refused", f"it has {size:,} bytes: no table of volumes", "correct the path",
                             ExitCode.BAD_DATA)  # fmt: skip
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = [name.strip() for name in next(rows, [])]
            yield 1, header, None
            for cells in rows:
                if any(map(str.strip, cells)):  # spreadsheets write empty rows
                    yield rows.line_num, header, cells
    except OSError as error:
        raise ChainError(f"{called} cannot be read", error.strerror or type(error).__name__, "correct its path",
                         ExitCode.MISSING) from None  # fmt: skip
    except csv.Error as error:
        raise ChainError(f"{called} is not CSV", f"after line {rows.line_num}: {error}", "mend that line",
                         ExitCode.BAD_DATA) from None  # fmt: skip
    except UnicodeError:
        raise ChainError(f"{called} is not UTF-8", "texts are read as UTF-8", 'save it as UTF-8 ("CSV UTF-8")',
                         ExitCode.BAD_DATA) from None  # fmt: skip


def _check_header(header: list[str], called: str, needed: Sequence[str], wanted: Sequence[str]) -> None:
    if absent := [name for name in needed if name not in header]:
        # its first line may be a row of ids: it is not shown
        raise ChainError(
            f"{called} has no column {absent[0]!r}",
            f"its first line must name the columns {', '.join(needed)}, separated by commas",
            "correct that line (of points: or say in `columns` how they are called)",
            ExitCode.BAD_DATA,
        )
    for at, name in enumerate(header, 1):
        # other columns are passed over, but never one that was meant: a patient column lost is a leak
        if name not in wanted and (means := meant(name)) in set(wanted) - set(header):
            raise ChainError(f"{called}: column {at} seems to be {means!r} and is called otherwise",
                             f"known columns are {', '.join(wanted)}", f"call it {means!r}, or rename it apart",
                             ExitCode.BAD_DATA)  # fmt: skip
    if twice := [name for name in wanted if header.count(name) > 1]:
        raise ChainError(f"{called} has the column {twice[0]!r} twice", "which one is meant is not known",
                         "remove one", ExitCode.BAD_DATA)  # fmt: skip
