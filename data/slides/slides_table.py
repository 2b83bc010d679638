"""The slides table: one row a slide, what its header does not say: patient, site, label, split, microns per pixel."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.files.containment import Root
from data.patches.names import check_names
from data.patches.record import Record
from data.patches.table_words import SPLITS, is_lost
from data.printable import shortened
from data.readers._rows import table_rows
from data.wsi.slide import LEAST_MPP, MOST_MPP

COLUMNS = ("file", "patient", "site", "label", "split", "mpp")


@dataclass(frozen=True)
class SlideRow:
    """Empty texts and None: the table does not say."""

    patient: str = ""
    site: str = ""
    label: str = ""
    split: str = ""
    mpp: float | None = None


def read_slides_table(path: Path, folder: Path, known: Collection[str]) -> dict[str, SlideRow]:
    """Rows by the slide's relative POSIX path. known: every slide of the folder.

    Raises ChainError (66, 65) naming the line: a row of no slide, a slide twice, a lost value, an mpp that is none.
    """
    if not path.is_file():
        raise ChainError(f"prepare.table {path} is missing", "no file lies there", "correct prepare.table",
                         ExitCode.MISSING)  # fmt: skip
    root = Root(folder, "prepare.path")
    rows: dict[str, SlideRow] = {}
    for place, cells in table_rows(path, COLUMNS):
        at = f"{path.name} {place}"
        if not cells["file"]:
            raise _refused(f"{at} names no file", "every row is about a slide", "fill in its path, or remove the row")
        key = root.key(cells["file"], at)
        if key not in known:
            raise _refused(
                f"{at} names {shortened(key, 200)}, which is no slide of {folder}",
                "a row that fits nothing is nearly always a slip in a path, and its slide would lose its patient",
                "correct the path (below the folder of slides), or remove the row",
            )
        if key in rows:
            raise _refused(f"{at} names {shortened(key, 200)} again", "one row says it", "remove one of the rows")
        rows[key] = _row(at, cells)
    return rows


def _row(at: str, cells: dict[str, str]) -> SlideRow:
    for column in ("label", "patient"):
        if is_lost(cells[column]):  # one patient called "nan" would tie all unknown ones together
            raise _refused(
                f"{at} has the {column} {cells[column]!r}",
                "that is nearly always a lost value, seldom a name",
                "leave it empty where it is unknown, or rename it",
            )
    split = SPLITS.get(cells["split"].lower())
    if split is None:
        raise _refused(
            f"{at} has the split {shortened(cells['split'])!r}",
            f"known are {', '.join(filter(None, SPLITS))}",
            "correct it",
        )
    record = Record("", cells["label"], cells["patient"], site=cells["site"])
    check_names(record, at)
    return SlideRow(cells["patient"], cells["site"], cells["label"], split, _mpp(at, cells["mpp"]))


def _mpp(at: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not LEAST_MPP <= value <= MOST_MPP:
        raise _refused(
            f"{at} has the mpp {shortened(text)!r}",
            f"microns per level-0 pixel are a number from {LEAST_MPP:g} to {MOST_MPP:g}",
            "correct it, or leave it empty where the slide itself says it",
        )
    return value


def _refused(what: str, why: str, todo: str) -> ChainError:
    return ChainError(f"prepare.table: {what}", why, todo, ExitCode.BAD_DATA)
