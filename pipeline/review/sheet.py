"""The sheet that people fill in: a CSV with a row a patch, and a check that binds a row to the patch that was seen.

A spreadsheet may sort one column and not the others, or turn an id such as 12345e6789012345 into a number. The check
of a row covers round, id, picture and suggestion, so that a label never ends up on another patch.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes
from data.printable import harmless
from data.readers._rows import table_rows

SHEET = "review.csv"
HEAD = ("id", "image", "place", "slide", "suggested", "why")
TAIL = ("check", "label")
LONGEST = 1_000_000  # rows


@dataclass(frozen=True)
class Row:
    """One row as it was read. where: for messages; round: of the export; label: as it was typed."""

    where: str
    id: int
    round: int
    suggested: str
    check: str
    label: str


def reject_word(classes: Sequence[str]) -> str:
    """What is written in place of a class for a patch that is of no use; never the name of a class."""
    return "reject" if all(name.casefold() != "reject" for name in classes) else "reject patch"


def words(classes: Sequence[str]) -> dict[str, int]:
    """What may be typed -> class, -1 for a rejected patch: names, and in lower case where that tells them apart.

    A cell is read without the blanks at its ends, so a name is known without its own.
    """
    found = {name: code for code, name in enumerate(classes)} | {reject_word(classes): -1}
    for text, code in list(found.items()):
        found.setdefault(harmless(text), code)  # as the sheet shows it
        found.setdefault(harmless(text).strip(), code)
    folded = [text.casefold() for text in found]
    return found | {text.casefold(): code for text, code in list(found.items()) if folded.count(text.casefold()) == 1}


def check_of(round: int, patch_id: str, pixels: tuple[int, int], suggested: str) -> str:
    """`r01-` and 12 hex digits. pixels: the digest of what people saw; suggested: the cell as it is read."""
    text = "\0".join([str(round), patch_id, *map(str, pixels), suggested.strip()])
    return f"r{round:02d}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def write_sheet(path: Path, classes: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Columns of HEAD, a probability a class (`p_NAME`), check, label. No cell is a formula to a spreadsheet."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    head = [*HEAD, *(f"p_{name}" for name in classes), *TAIL]
    table.writerow([harmless(name) for name in head])
    table.writerows([[harmless(row.get(name, "")) for name in head] for row in rows])
    write_bytes(path, text.getvalue().encode("utf-8", "backslashreplace"))


def read_sheet(path: Path) -> list[Row]:
    """Rows in order, blank labels among them. Raises ChainError: 66 no such file, 65 no such sheet."""
    if not path.is_file():
        raise ChainError(f"{path} is missing", "no file lies there", f"name the {SHEET} of an export", ExitCode.MISSING)
    found: list[Row] = []
    for where, cells in table_rows(path, ("id", "image", "suggested", "check", "label")):
        if len(found) == LONGEST:
            raise _refused(f"{path} has more than {LONGEST:,} rows", "no person filled this in", "divide it")
        found.append(_row(path, where, cells))
    if not found:
        raise _refused(f"{path} has no rows", "it holds nothing but its header", f"name the {SHEET} of an export")
    return found


def _row(path: Path, where: str, cells: Mapping[str, str]) -> Row:
    shown = f"{path.name} {where}"
    text = cells["id"] if is_id(cells["id"]) else cells["image"].removesuffix(".png")
    if not is_id(text):
        raise _refused(
            f"{shown}: {cells['id'][:40]!r} is no patch id",
            "an id has 16 hexadecimal digits, and the column `image` does not tell it either",
            "take the row from the export again",
        )
    number = cells["check"][1:3]
    if cells["check"][:1] != "r" or not number.isdecimal():
        raise _refused(
            f"{shown}: the column `check` is not as it was written",
            "it binds a label to the picture that was looked at",
            "fill in the sheet that `review export` wrote, and leave its other columns alone",
        )
    return Row(shown, int(text, 16), int(number), cells["suggested"], cells["check"], cells["label"])


def is_id(text: str) -> bool:
    """Whether this is the id of a patch as a text."""
    return len(text) == 16 and all(c in "0123456789abcdef" for c in text)


def _refused(what: str, why: str, todo: str) -> ChainError:
    return ChainError(what, why, todo, ExitCode.BAD_DATA)
