"""A CSV or Parquet manifest: one row a patch, `path,label,patient,slide,site,split`; any but `path` may be missing."""

import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from data.errors import ChainError, ExitCode
from data.files.containment import Root
from data.files.held import held_sha256
from data.patches.names import check_names
from data.patches.record import Record
from data.patches.table_words import SPLITS, is_lost
from data.printable import shortened
from data.readers._files import read_image_file
from data.readers._rows import table_rows
from data.readers.base import Reader

COLUMNS = ("path", "label", "patient", "slide", "site", "split")


class Manifest(Reader):
    """Image files listed in a table. An empty label means pool."""

    kind: Literal["manifest"] = "manifest"
    path: Annotated[Path, Field(description="the manifest: .csv or .parquet")]
    root: Annotated[Path | None, Field(description="the folder its paths start from; default: the manifest's own")] = (
        None
    )

    def records(self) -> Iterator[Record]:
        """Rows in the manifest's order. Raises ChainError (65, 66) naming the manifest's line."""
        if not self.path.is_file():
            raise self._refused(self.path, "is missing", "no file lies there", "correct `path`", ExitCode.MISSING)
        root = Root(self._root, f"source {self.name}")
        hashes = array("q")  # of keys: 8 bytes a patch, where a set of them all takes 200
        for place, row in table_rows(self.path, COLUMNS):
            at = f"{self.path.name} {place}"
            if not row["path"]:
                raise self._refused(at, "names no path", "every patch is a file", "fill in the path, or remove the row")
            key = root.key(row["path"], at)
            hashes.append(hash(key))
            if not os.path.isfile(self._root / key):  # noqa: PTH113  Path.is_file raises for a name too long
                todo = (
                    "write it with / in place of \\" if "\\" in key else "correct the path or `root`, or remove the row"
                )
                raise self._refused(
                    at, f"names {shortened(key, 200)}, which is missing", f"no such file below {self._root}", todo,
                    ExitCode.MISSING,
                )  # fmt: skip
            split = SPLITS.get(row["split"].lower())
            if split is None:
                raise self._refused(
                    at, f"has the split {shortened(row['split'])!r}", f"known are {', '.join(filter(None, SPLITS))}",
                    "correct it",
                )  # fmt: skip
            for column in ("label", "patient", "slide"):
                if is_lost(row[column]):  # one patient called "nan" would tie all unknown ones together
                    raise self._refused(
                        at, f"has the {column} {row[column]!r}", "that is nearly always a lost value, seldom a name",
                        "leave it empty where it is unknown (a patch without a label is pool), or rename it",
                    )  # fmt: skip
            record = Record(key, row["label"], row["patient"], row["slide"], row["site"], split)
            check_names(record, f"source {self.name}: {at}")
            yield record
        if len(np.unique(hashes)) < len(hashes):
            self._refuse_twice(root)

    def content(self, record: Record) -> bytes:
        """The file's bytes. Raises BadPatch when it is too large or unreadable."""
        return read_image_file(self._root / record.key)

    def held(self, records: Iterable[Record]) -> str:
        """See Reader."""
        return held_sha256(self._root / record.key for record in records)

    def _refuse_twice(self, root: Root) -> None:
        seen: dict[str, str] = {}
        for place, row in table_rows(self.path, COLUMNS):
            at = f"{self.path.name} {place}"
            key = root.key(row["path"], at)
            if key in seen:
                raise self._refused(
                    at, f"names {shortened(key, 200)} again", f"{seen[key]} is the same patch", "remove one of the rows"
                )
            seen[key] = place

    @property
    def _root(self) -> Path:
        return self.path.parent if self.root is None else self.root

    def _refused(
        self, where: str | Path, what: str, why: str, todo: str, code: ExitCode = ExitCode.BAD_DATA
    ) -> ChainError:
        return ChainError(f"source {self.name}: {where} {what}", why, todo, code)
