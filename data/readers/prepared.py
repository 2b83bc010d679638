"""A directory that `prepare` filled from slides or CT: the patches of all units, chosen by what was measured."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from data.errors import ChainError, ExitCode
from data.files.recent import Recent
from data.number_range import NumberRange
from data.patches.record import Record
from data.patches.reference import Reference
from data.prepared import STORE, UNITS, read_index
from data.readers.base import Reader
from data.store.row_numbers import RowNumbers

if TYPE_CHECKING:
    from data.store.patch_store import PatchStore

MOST_OPEN = 16  # stores at once, however many slides there are


class Prepared(Reader):
    """Patches of a prepared directory. Label, patient, slide, site, split and numbers are as they were prepared."""

    kind: Literal["prepared"] = "prepared"
    path: Annotated[Path, Field(description="the directory that `prepare` filled")]
    keep: Annotated[
        dict[str, NumberRange],
        Field(default_factory=dict, description="number column -> what is kept of it, e.g. {tissue: {min: 0.5}}"),
    ]

    _units: "_Units | None" = PrivateAttr(default=None)

    def records(self) -> Iterator[Record]:
        """Unit by unit in the order of the input; the key is `UNIT/KEY`.

        Raises ChainError: 66 when the directory is missing or not finished, 76 when a unit is not as it was
        prepared, 78 when `keep` names no number column.
        """
        for unit in read_index(self.path):
            if not unit.patches:
                continue  # nothing in it was wanted: it has no store
            yield from self._records(unit.name)

    def content(self, record: Record) -> bytes | np.ndarray | Reference:
        """The JPEG as stored, (H, W, C) pixels, or where they lie."""
        store, row = self._place(record)
        return store.content(row)

    def link(self, record: Record) -> Reference:
        """See Reader."""
        store, row = self._place(record)
        return store.reference(row)

    def state(self) -> str:
        """See Reader: the digests of all units."""
        return hashlib.sha256("".join(unit.digest for unit in read_index(self.path)).encode()).hexdigest()

    def _place(self, record: Record) -> "tuple[PatchStore, int]":
        with _MAKING:
            if self._units is None:
                self._units = _Units(self.path)
        return self._units.place(record)

    def _records(self, unit: str) -> Iterator[Record]:
        from data.store.patch_store import PatchStore
        from data.store.source_labels import read_source_labels

        path = self.path / UNITS / unit / STORE
        store = PatchStore(path)
        table, labels = store.table(), read_source_labels(path)
        # copies: a view would keep every store mapped for as long as its records live
        numbers = {name: np.array(column) for name, column in store.numbers.items()}
        for row in self._kept(len(store), numbers, path):
            yield Record(
                f"{unit}/{store.key(row)}",
                labels.label[row],
                table.patient[row],
                table.slide[row],
                table.site[row],
                labels.split[row],
                RowNumbers(numbers, row) if numbers else {},
            )

    def _kept(self, n: int, numbers: dict[str, np.ndarray], path: Path) -> list[int]:
        kept = np.ones(n, bool)
        for name, wanted in self.keep.items():
            if name not in numbers:
                raise ChainError(
                    f"source {self.name}: keep.{name}: there is no such number",
                    f"{path} knows {', '.join(sorted(numbers)) or 'none'}",
                    "name one of these",
                    ExitCode.MISMATCH,
                )
            kept &= wanted.holds(numbers[name])
        rows: list[int] = np.flatnonzero(kept).tolist()
        return rows


_MAKING = threading.Lock()


class _Units:
    """The stores of the units, some open at a time. Each is read in full and compared once a process."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._verified: set[str] = set()
        self._open = Recent(self._opened, MOST_OPEN)

    def place(self, record: Record) -> "tuple[PatchStore, int]":
        """The store and the row of a record."""
        unit, _, key = record.key.partition("/")
        store, rows = self._open(unit)
        return store, rows[key]

    def _opened(self, unit: str) -> "tuple[PatchStore, dict[str, int]]":
        from data.store.patch_store import PatchStore

        store = PatchStore(self._root / UNITS / unit / STORE)
        if unit not in self._verified:
            store.verify()  # a flipped byte in a JPEG is seen by nothing else
            self._verified.add(unit)
        return store, {store.key(row): row for row in range(len(store))}
