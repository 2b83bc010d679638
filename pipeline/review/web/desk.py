"""The sheet of an export as the labelling page fills it in: a label is on disk before the next picture is asked for.

The sheet is the truth: it is read anew for each label, under a lock, so that two programs on one run directory lose
none of each other's.
"""

import csv
import hashlib
import io
import json
import threading
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import write_bytes
from data.patches.ids import id_text
from data.printable import harmless, printable
from pipeline.directory.layout import Layout
from pipeline.directory.reviews import addresses, settled
from pipeline.report.run import Run
from pipeline.review.choosing import Pick
from pipeline.review.exporting import ABOUT, PICTURES, export, made_of
from pipeline.review.importing import import_review, may_teach
from pipeline.review.sheet import SHEET, is_id, read_sheet, reject_word, words


class Desk:
    """What is labelled now. The next export is opened when this one is saved, or when nothing in it is labelled yet.

    number: the round to label; None: the newest with a selection. n: how many patches; pick: which.
    """

    def __init__(self, layout: Layout, number: int | None, n: int, pick: Pick = "informative") -> None:
        self.layout, self.number, self.n, self.pick = layout, number, n, pick
        self._lock = threading.RLock()
        self._folder: Path | None = None
        self._aside: list[Path] = []
        self._classes: tuple[str, ...] = ()

    def items(self) -> dict[str, Any]:
        """All that the page shows, as plain JSON. Raises what `export` raises.

        aside: sheets with labels that cannot be handed over any more, since the run has other patches now.
        """
        with self._lock:
            rows = self._opened()
            known = words(self._classes)
            choices = [*self._classes, reject_word(self._classes)]
            return {
                "folder": printable(str(self._folder)),
                "aside": [printable(str(folder)) for folder in self._aside],
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
                    for row in rows
                ],
            }

    def label(self, patch_id: str, code: int | None) -> None:
        """Write one label: a class, -1 for reject, None for blank. Raises ChainError (65) for what is not asked."""
        with self._lock, settled(self.layout):
            rows = self._rows()
            row = next((row for row in rows if row["id"] == patch_id), None)
            if row is None or not (code is None or -1 <= code < len(self._classes)):
                raise ChainError(
                    "no such patch or class on this sheet",
                    "another sheet was opened since this page was loaded",
                    "reload the page",
                    ExitCode.BAD_DATA,
                )
            name = "" if code is None else [*self._classes, reject_word(self._classes)][code]
            row["label"] = harmless(name)
            assert self._folder is not None
            _write(self._folder / SHEET, rows)

    def save(self, by: str, dry: bool) -> list[str]:
        """Import what is labelled, as `review import` does. Raises what it raises."""
        with self._lock:
            if self._folder is None or not _labelled(self._rows()):
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
            if not is_id(patch_id) or self._folder is None or all(row["id"] != patch_id for row in self._rows()):
                return None
            return (self._folder / PICTURES / f"{patch_id}.png").read_bytes()

    def _rows(self) -> list[dict[str, str]]:
        return [] if self._folder is None else _read(self._folder / SHEET)

    def _opened(self) -> list[dict[str, str]]:
        """The rows of the sheet at hand, of one that was begun before, or of a new one."""
        if self._folder is None or not _labelled(self._rows()):
            run = Run.open(self.layout)
            self._folder = self._begun(run) or self._new(run)
            self._classes = run.classes
        return self._rows()

    @property
    def _kind(self) -> str:
        return "page" if self.pick == "informative" else f"page_{self.pick}"

    def _begun(self, run: Run) -> Path | None:
        """The newest sheet with a label that no review holds, whatever was imported, or made again, since."""
        self._aside = []
        if not run.drawn:
            return None
        said = {id_text(one) for one in run.reviewed.ids.tolist()}
        for path in sorted(self.layout.exports.glob(f"{self._kind}-*/{SHEET}"), reverse=True):
            if _labelled(_read(path)) - said:
                if _classes_of(path.parent) == list(run.classes) and may_teach(self.layout, path):
                    return path.parent
                self._aside.append(path.parent)
        return None

    def _new(self, run: Run) -> Path:
        number = self.number if self.number is not None else max(run.numbers, default=0)
        run.round(number)  # names a round that has nothing to ask about
        # whatever decides what is asked is in the name: a sheet that another teacher's scores made is not this one
        made = hashlib.sha256("".join(made_of(self.layout, number).values()).encode()).hexdigest()[:8]
        folder = self.layout.exports / f"{self._kind}-{number:02d}-{self.n}-{len(addresses(self.layout)):04d}-{made}"
        if not (folder / SHEET).is_file():
            export(self.layout, number, self.n, folder, self.pick)
        return folder


def _labelled(rows: list[dict[str, str]]) -> set[str]:
    """Ids of the patches that have a label."""
    return {row["id"] for row in rows if row["label"]}


def _classes_of(folder: Path) -> list[str]:
    found: list[str] = json.loads((folder / ABOUT).read_bytes())["classes"]
    return found


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def _read(path: Path) -> list[dict[str, str]]:
    read_sheet(path)  # refuses by line what a spreadsheet has made of it
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
