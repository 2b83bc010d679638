"""The part of docs/results.md between a set's marks, and what it was made from: written by the command alone."""

import shutil
from pathlib import Path

from benchmarks.label_efficiency.cells import RESULT, TALLIES
from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes


def marks(name: str) -> tuple[str, str]:
    """The lines a set's table stands between."""
    return f"<!-- label_efficiency {name}: begin -->", f"<!-- label_efficiency {name}: end -->"


def filled(text: str, name: str, content: str) -> str:
    """The document with the content between the marks of `name` replaced; without marks, added at the end. Pure."""
    begin, end = marks(name)
    block = f"{begin}\n{content.strip()}\n{end}"
    if begin not in text:
        return f"{text.rstrip()}\n\n## {name}\n\n{block}\n"
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ChainError(
            f"the results of {name} have no end", f"the line {end} is missing", "put it back", ExitCode.MISMATCH
        )
    return f"{before}{block}{after}"


def write(path: Path, name: str, report: str, plot: Path | None) -> None:
    """Put a report, and its plot beside it, into the document."""
    content = report
    if plot is not None and plot.is_file():
        picture = path.parent / f"label_efficiency_{name}.png"
        write_bytes(picture, plot.read_bytes())
        content = f"{report}\n![balanced accuracy by round, {name}]({picture.name})\n"
    write_bytes(path, filled(path.read_text(encoding="utf-8"), name, content).encode())


def keep(into: Path, evidence: Path) -> None:
    """Copy every finished cell, and the groups that stand for slides: all that the tables can be made from again.

    Put back below `runs/evidence`, the command finds these cells done and goes on beside them on any machine. Cells of
    a table that was there before go with that table.
    """
    shutil.rmtree(evidence, ignore_errors=True)
    found = [path for name in (RESULT, TALLIES) for path in into.rglob(name) if (path.parent / RESULT).is_file()]
    for path in [*found, *into.glob("groups.json")]:
        copy = evidence / path.relative_to(into)
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(copy, path.read_bytes())
