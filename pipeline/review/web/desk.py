"""The sheet of an export as the labelling page fills it in: a label is on disk before the next picture is asked for."""

import csv
import io
import threading
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes
from data.printable import harmless, printable
from data.splits.written import load_splits
from pipeline.directory.layout import Layout
from pipeline.directory.reviews import addresses
from pipeline.plan import SPLITS
from pipeline.report.run import Run
from pipeline.review.choosing import Pick
from pipeline.review.exporting import PICTURES, export
from pipeline.review.importing import import_review
from pipeline.review.sheet import SHEET, reject_word, words


class Desk:
    """What is labelled now. The next export is opened when this one is saved, or when nothing in it is labelled yet.

    number: the round to label; None: the newest with a selection. n: how many patches; pick: which.
    """

    def __init__(self, layout: Layout, number: int | None, n: int, pick: Pick = "informative") -> None:
        self.layout, self.number, self.n, self.pick = layout, number, n, pick
        self._lock = threading.RLock()
        self._folder: Path | None = None
        self._rows: list[dict[str, str]] = []
        self._classes: tuple[str, ...] = ()

    def items(self) -> dict[str, Any]:
        """All that the page shows, as plain JSON. Raises what `export` raises."""
        with self._lock:
            self._open()
            known = words(self._classes)
            choices = [*self._classes, reject_word(self._classes)]
            return {
                "folder": printable(str(self._folder)),
                "classes": [printable(name) for name in self._classes],
                "reject": choices[-1],
                "items": [
                    {
                        "id": row["id"],
                        "place": row["place"],
                        "slide": row["slide"],
                        "suggested": row["suggested"],
                        "why": row["why"],
                        "probs": [float(row[harmless(f"p_{name}")]) for name in self._classes],
                        "label": known.get(row["label"]),
                    }
                    for row in self._rows
                ],
            }

    def label(self, patch_id: str, code: int | None) -> None:
        """Write one label: a class, -1 for reject, None for blank. Raises ChainError (65) for what is not asked."""
        with self._lock:
            row = next((row for row in self._rows if row["id"] == patch_id), None)
            if row is None or not (code is None or -1 <= code < len(self._classes)):
                raise ChainError(
                    "no such patch or class on this sheet",
                    "another sheet was opened since this page was loaded",
                    "reload the page",
                    ExitCode.BAD_DATA,
                )
            name = "" if code is None else [*self._classes, reject_word(self._classes)][code]
            row["label"] = harmless(name)
            self._write()

    def save(self, by: str, dry: bool) -> list[str]:
        """Import what is labelled, as `review import` does. Raises what it raises."""
        with self._lock:
            if self._folder is None or not any(row["label"] for row in self._rows):
                raise ChainError(
                    "nothing is labelled yet", "every row is blank", "label a patch first", ExitCode.BAD_DATA
                )
            lines = import_review(self.layout, self._folder / SHEET, by, dry=dry)
            if not dry:
                self._folder = None
            return lines

    def picture(self, patch_id: str) -> bytes | None:
        """PNG of a patch of this sheet; None where it is not one."""
        with self._lock:
            if self._folder is None or all(row["id"] != patch_id for row in self._rows):
                return None
            return (self._folder / PICTURES / f"{patch_id}.png").read_bytes()

    def _open(self) -> None:
        if self._folder is not None and any(row["label"] for row in self._rows):
            return
        reviewed = len(addresses(self.layout))
        # a sheet that was begun before the server was stopped is gone on with
        kind = "page" if self.pick == "informative" else f"page_{self.pick}"
        begun = sorted(self.layout.exports.glob(f"{kind}-*-{reviewed:04d}/{SHEET}"))
        for path in reversed(begun):
            rows = _read(path)
            if any(row["label"] for row in rows):
                self._take(path.parent, rows)
                return
        number = self.number if self.number is not None else max(Run.open(self.layout).numbers, default=0)
        folder = self.layout.exports / f"{kind}-{number:02d}-{self.n}-{reviewed:04d}"
        if not (folder / SHEET).is_file():
            export(self.layout, number, self.n, folder, self.pick)
        self._take(folder, _read(folder / SHEET))

    def _take(self, folder: Path, rows: list[dict[str, str]]) -> None:
        self._classes = load_splits(self.layout.place(SPLITS)).classes
        self._folder, self._rows = folder, rows

    def _write(self) -> None:
        assert self._folder is not None
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, list(self._rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows)
        write_bytes(self._folder / SHEET, text.getvalue().encode())


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
