"""A patch store of ours as a source: its patches as stored, with their labels, groups and splits."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from data.errors import ChainError, ExitCode
from data.files.held import ALONE_BYTES, held_sha256
from data.patches.record import Record
from data.patches.reference import Reference
from data.readers.base import Reader
from data.store.row_numbers import RowNumbers

if TYPE_CHECKING:
    from data.store.patch_store import PatchStore

_OPENING = threading.Lock()


class Store(Reader):
    """Patches of another store (`patches.h5`). The parts its own sources played are kept, and the splits of rows
    of those that were to be split."""

    kind: Literal["store"] = "store"
    path: Annotated[Path, Field(description="the patches.h5 of another run")]

    _store: "PatchStore | None" = PrivateAttr(default=None)
    _rows: dict[str, int] = PrivateAttr(default_factory=dict)

    def records(self) -> Iterator[Record]:
        """Patches in the store's order; the key is `SOURCE/KEY`. Raises ChainError (65, 66)."""
        from data.store.source_labels import read_source_labels

        store = self._open()
        table, labels, numbers = store.table(), read_source_labels(self.path), store.numbers
        for row in range(len(store)):
            key = f"{table.source[row]}/{store.key(row)}"
            part = labels.part[row]  # as in data/patches/given.py: it decides for a whole source
            self._rows[key] = row
            yield Record(
                key,
                labels.label[row],
                table.patient[row],
                table.slide[row],
                table.site[row],
                labels.split[row] if part == "split" else part,
                RowNumbers(numbers, row) if numbers else {},
            )

    def content(self, record: Record) -> bytes | np.ndarray | Reference:
        """The JPEG as stored, (H, W, C) pixels, or where they lie."""
        return self._open().content(self._row(record))

    def link(self, record: Record) -> Reference:
        """See Reader."""
        return self._open().reference(self._row(record))

    def held(self, records: Iterable[Record]) -> str:
        """See Reader."""
        return held_sha256([self.path], ALONE_BYTES)

    def _row(self, record: Record) -> int:
        if not self._rows:
            self._rows.update({found.key: row for row, found in enumerate(self.records())})
        return self._rows[record.key]

    def _open(self) -> "PatchStore":
        from data.store.patch_store import PatchStore

        with _OPENING:
            if self._store is None:
                if self.path.is_dir():
                    raise ChainError(f"source {self.name}: {self.path} is a directory",
                                     "a source of kind store is the file that holds the patches",
                                     "of a run name its data/store/patches.h5; what `prepare` made is of kind prepared",
                                     ExitCode.MISSING)  # fmt: skip
                store = PatchStore(self.path)
                try:
                    store.verify()
                except ChainError as error:
                    # a damaged store is a damaged run to its own chain, and bad input to another
                    code = ExitCode.BAD_DATA if error.code == ExitCode.DAMAGED else error.code
                    raise ChainError(error.what, error.why, error.todo, code) from error
                self._store = store
            return self._store
