"""The table of patches that could not be used, and the limit on how many there may be."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data.errors import ChainError, ExitCode
from data.files.atomic import replacing
from data.printable import harmless


class Quarantined(NamedTuple):
    """One patch that is not in the store, and why."""

    source: str
    key: str
    reason: str


def write_quarantine(path: Path, rows: Sequence[Quarantined]) -> None:
    """Write `source,key,reason`, the header always there.

    For people: nothing reads it back, and no name in it reaches a terminal or a spreadsheet as a command.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Quarantined._fields)
        table.writerows([harmless(cell) for cell in row] for row in rows)


def check_limit(
    rows: Sequence[Quarantined],
    listed: int,
    limit: float,
    table: str,
    *,
    seen: int | None = None,
    setting: str = "data.quarantine_limit",
) -> None:
    """Raise ChainError (65) when more than `limit` (a share) of the listed patches are in quarantine.

    table: where the user finds the table; seen: patches looked at, when the command stops before the last;
    setting: the key of the configuration that says `limit`.
    """
    if len(rows) <= limit * listed:
        return
    first = "; ".join(f"{_short(row.key)}: {_short(row.reason)}" for row in rows[:3])
    of = f"{listed:,} patches" if seen in (None, listed) else f"the first {seen:,} of {listed:,} patches"
    share = len(rows) / (seen or listed)
    raise ChainError(
        f"{len(rows):,} of {of} ({share:.3%}) cannot be used; {setting} is {limit:.3%}",
        first,
        f"all are named in {table}: mend or remove them, or raise {setting}",
        ExitCode.BAD_DATA,
    )


def _short(text: str) -> str:
    return text if len(text) <= 110 else f"{text[:50]}...{text[-57:]}"
