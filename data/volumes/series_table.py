"""The user's table of volumes: patient, site, label and split of each, by series UID or file name."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from data.patches.deid import pseudonym
from data.patches.names import LONGEST_LABEL
from data.patches.table_words import SPLITS, is_lost
from data.volumes.csv_table import csv_rows, refused

CALLED = "prepare.table"
COLUMNS = ("series", "patient", "site", "label", "split")


class SeriesRow(NamedTuple):
    """One volume's row. patient: a keyed hash. Empty texts are unknown."""

    patient: str = ""
    site: str = ""
    label: str = ""
    split: str = ""


class SeriesTable(NamedTuple):
    """rows and lines by the keyed hash of what the table calls the volume."""

    rows: Mapping[str, SeriesRow]
    lines: Mapping[str, int]


def read_series_table(path: Path, key: bytes, labelled: bool) -> SeriesTable:
    """Columns `series` (needed), `patient`, `site`, `label` (needed if `labelled`), `split`.

    Raises ChainError (65, 66) naming the line: no series, the same series twice, a lost value, an unknown split.
    """
    needed = ["series", "label"] if labelled else ["series"]
    more = [name for name in COLUMNS if name not in needed]
    rows: dict[str, SeriesRow] = {}
    lines: dict[str, int] = {}
    for line, cells in csv_rows(path, CALLED, needed, more):
        row = dict(zip([*needed, *more], cells, strict=True))
        if not row["series"]:
            raise refused(CALLED, line, "its 'series' is empty", "name the series, or remove the row")
        for column in COLUMNS[1:]:
            text = row[column]
            # one patient called "nan" would tie all unknown ones together
            if is_lost(text) or len(text) > LONGEST_LABEL or not text.isprintable():
                raise refused(CALLED, line, f"its {column!r} is no name, or a lost value",
                              "leave it empty where it is unknown")  # fmt: skip
        if row["split"].lower() not in SPLITS:
            raise refused(CALLED, line, f"its 'split' is none of {', '.join(filter(None, SPLITS))}", "correct it")
        name = pseudonym(key, row["series"])
        if name in rows:
            raise refused(CALLED, line, f"line {lines[name]} is about the same volume", "remove one of the rows")
        patient = pseudonym(key, row["patient"]) if row["patient"] else ""
        rows[name] = SeriesRow(patient, row["site"], row["label"], SPLITS[row["split"].lower()])
        lines[name] = line
    return SeriesTable(rows, lines)
