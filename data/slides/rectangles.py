"""Rectangles in a CSV: columns x, y, width, height, label and, in a table of several slides, slide."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import shapely

from data.errors import ChainError, ExitCode
from data.patches.names import LONGEST_LABEL
from data.printable import shortened
from data.readers._rows import table_rows
from data.slides.regions import FARTHEST_PX, Region

MOST_BYTES = 64 << 20
_COLUMNS = ("x", "y", "width", "height", "label", "slide")
# what float() takes and people do not mean: 1_000, infinity, nan
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


def read_rectangles(path: Path, px_per_unit: float, is_slide: Callable[[str], bool] | None = None) -> list[Region]:
    """Rectangles of one file as regions in level-0 pixels. px_per_unit: 1 for pixels, 1 / mpp0 for microns.

    is_slide: takes the cell of column `slide` and says whether the row is meant; None: every row is, and the file need
    not have that column. Raises ChainError (65) naming file and line.
    """
    check_size(path)
    regions = []
    for place, cells in table_rows(path, _COLUMNS):
        if is_slide is not None:
            if not cells["slide"]:
                raise _refused(path, place, "its slide is empty, or the table has no column `slide`")
            if not is_slide(cells["slide"]):
                continue
        x, y, width, height = (_number(path, place, name, cells[name]) * px_per_unit for name in _COLUMNS[:4])
        if width <= 0 or height <= 0:
            raise _refused(path, place, f"a rectangle of {cells['width']} x {cells['height']} has no area")
        if max(abs(x), abs(y), width, height) > FARTHEST_PX:
            raise _refused(path, place, "no slide is that large")
        regions.append(Region(_label(path, place, cells["label"]), shapely.box(x, y, x + width, y + height), place))
    return regions


def slides_named(path: Path) -> dict[str, str]:
    """Cells of column `slide` and the place each is first named. Raises ChainError (65)."""
    check_size(path)
    named: dict[str, str] = {}
    for place, cells in table_rows(path, _COLUMNS):
        named.setdefault(cells["slide"], place)
    return named


def check_size(path: Path) -> None:
    """Raises ChainError: 66 when the file is missing, 65 when it is too large to be a table of rectangles."""
    if not path.is_file():
        raise ChainError(f"{path} is missing", "no file lies there", "correct the path", ExitCode.MISSING)
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ChainError(f"{path} has {size:,} bytes", f"a table of rectangles has at most {MOST_BYTES:,}",
                         "divide it: one file for each slide", ExitCode.BAD_DATA)  # fmt: skip


def _number(path: Path, place: str, name: str, text: str) -> float:
    if not _NUMBER.match(text) or not math.isfinite(value := float(text)):
        said = f"{name} is {shortened(text, 40)!r}" if text else f"{name} is empty, or the table has no such column"
        raise _refused(path, place, f"{said}; a number is expected")
    return value


def _label(path: Path, place: str, label: str) -> str:
    if len(label) > LONGEST_LABEL or any(not c.isprintable() for c in label):
        raise _refused(path, place, f"its label {shortened(label)!r} is too long, or holds a control character")
    return label


def _refused(path: Path, place: str, why: str) -> ChainError:
    return ChainError(f"{path} {place} is refused", why, "correct or remove the line", ExitCode.BAD_DATA)
