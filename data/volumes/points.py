"""Points in millimetres of the world, as LUNA16 lists its nodules and candidates."""

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from data.patches.deid import pseudonym
from data.patches.names import LONGEST_LABEL
from data.patches.table_words import is_lost
from data.section import Section
from data.volumes.csv_table import csv_rows, refused

CALLED = "prepare.points.csv"
# float() would take "1_000", "infinity" and digits of other scripts
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
FARTHEST_MM = 100_000
PLACES = 3  # decimals of a millimetre: two points that agree in them are one


class PointColumns(Section):
    """How the columns of the table are called. The defaults are LUNA16's."""

    series: Annotated[str, Field(description="series UID or file name, with or without suffix")] = "seriesuid"
    x: Annotated[str, Field(description="mm")] = "coordX"
    y: Annotated[str, Field(description="mm")] = "coordY"
    z: Annotated[str, Field(description="mm")] = "coordZ"
    label: Annotated[str, Field(description="class of the point; the column may be missing")] = "class"


class PointsFile(Section):
    """A table of points: one row a point."""

    csv: Annotated[Path, Field(description="the table")]
    columns: PointColumns = PointColumns()
    frame: Annotated[
        Literal["lps", "ras"],
        Field(description="world axes of the points: lps (DICOM, ITK, LUNA16) or ras (NIfTI tools, Slicer)"),
    ] = "lps"


@dataclass(frozen=True, order=True)
class Point:
    """zyx_mm: in LPS, to a thousandth; z first, so that points sort by slice. label: "" unknown."""

    zyx_mm: tuple[float, float, float]
    label: str

    @property
    def key(self) -> str:
        """Its place as text, which makes the patch id."""
        z, y, x = self.zyx_mm
        return f"x{x:+.3f}_y{y:+.3f}_z{z:+.3f}"


@dataclass(frozen=True)
class Points:
    """Points and the lines they stand in, by the keyed hash of the series as the table names it; sorted by place."""

    by_name: Mapping[str, tuple[Point, ...]]
    lines: Mapping[str, tuple[int, ...]]


def read_points(config: PointsFile, key: bytes, labelled: bool) -> Points:
    """All points of the table. Rows that repeat a point with the same class count once.

    labelled: the column of classes must be there. Raises ChainError (65, 66) naming the line: a number is missing,
    not finite or absurd; a class is a lost value; one point has two classes.
    """
    names = config.columns
    needed, more = [names.series, names.x, names.y, names.z], [names.label]
    if labelled:
        needed, more = needed + more, []
    found: dict[str, dict[tuple[float, float, float], tuple[str, int]]] = defaultdict(dict)
    lines: dict[str, list[int]] = defaultdict(list)
    hashes: dict[str, str] = {}  # a table has many rows for each series
    turn = -1 if config.frame == "ras" else 1
    for line, (series, *numbers, label) in csv_rows(config.csv, CALLED, needed, more):
        if not series:
            raise refused(CALLED, line, f"its {names.series!r} is empty", "name the series, or remove the row")
        x, y, z = (_number(text, line, name) for text, name in zip(numbers, (names.x, names.y, names.z), strict=True))
        # to a thousandth, which is what keys show; + 0.0: no "-0.000"
        at = (round(z, PLACES) + 0.0, round(turn * y, PLACES) + 0.0, round(turn * x, PLACES) + 0.0)
        hashed = hashes.get(series) or hashes.setdefault(series, pseudonym(key, series))
        known = found[hashed].setdefault(at, (_label(label, line, names.label), line))
        if known[0] != label:
            raise refused(CALLED, line, f"line {known[1]} gives the same point another class",
                          "keep one of the two")  # fmt: skip
        lines[hashed].append(line)
    return Points(
        {name: tuple(sorted(Point(at, label) for at, (label, _) in rows.items())) for name, rows in found.items()},
        {name: tuple(rows) for name, rows in lines.items()},
    )


def _number(text: str, line: int, column: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value) or abs(value) > FARTHEST_MM:
        why = f"its {column!r} is {'empty' if not text else 'no number of millimetres'}"
        raise refused(CALLED, line, why, "write it as a decimal number, or remove the row")
    return value


def _label(text: str, line: int, column: str) -> str:
    if is_lost(text) or len(text) > LONGEST_LABEL or not text.isprintable():
        raise refused(CALLED, line, f"its {column!r} is no name of a class",
                      "leave it empty where it is unknown, or correct it")  # fmt: skip
    return text
