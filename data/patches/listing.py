"""What sources list, in columns: some 60 bytes a patch and its key, where a `Record` and its texts are 700."""

import heapq
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from data.patches.record import Record
from data.patches.table import Column

NAMED = ("patient", "slide", "site", "label", "split")
RUN = 1 << 16  # rows that are sorted at a time


class Texts:
    """A text column being built: 4 bytes a row, and each distinct text once."""

    def __init__(self) -> None:
        self._codes = array("i")
        self._code: dict[str, int] = {}
        self._names: list[str] = []

    def add(self, text: str) -> None:
        """Append a row; an empty text is unknown."""
        code = self._code.setdefault(text, len(self._names)) if text else -1
        if code == len(self._names):
            self._names.append(text)
        self._codes.append(code)

    def __getitem__(self, row: int) -> str:
        code = self._codes[row]
        return self._names[code] if code >= 0 else ""

    def column(self) -> Column:
        """What was added: a view of it, so that nothing can be added any more."""
        return Column(viewed(self._codes, np.int32), np.array(self._names, dtype=np.str_))


class Listing(Sequence[Record]):
    """Records in the order they are added; each is put together again when it is asked for."""

    def __init__(self) -> None:
        self.texts = {name: Texts() for name in NAMED}
        self._keys = bytearray()
        self._ends = array("Q", [0])
        self._numbers: dict[str, array[float]] = {}

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Listing":
        """All of them."""
        listing = cls()
        for record in records:
            listing.add(record)
        return listing

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, record: Record) -> int:
        """Append one. Returns its row."""
        for name, texts in self.texts.items():
            texts.add(getattr(record, name))
        for name, number in record.numbers.items():
            column = self._numbers.setdefault(name, array("d"))
            _fill(column, len(self))
            column.append(number)
        self._keys += record.key.encode()
        self._ends.append(len(self._keys))
        return len(self) - 1

    def forget_empty_numbers(self) -> None:
        """Let go of every number column in which no patch has anything."""
        for name, column in [*self._numbers.items()]:
            if np.isnan(viewed(column, np.float64)).all():
                del self._numbers[name]

    def __getitem__(self, row: int) -> Record:  # type: ignore[override] # no slices
        patient, slide, site, label, split = [texts[row] for texts in self.texts.values()]
        numbers = {
            name: column[row]
            for name, column in self._numbers.items()
            if row < len(column) and column[row] == column[row]  # not NaN
        }
        return Record(self.key(row).decode(), label, patient, slide, site, split, numbers)

    def key(self, row: int) -> bytes:
        """In UTF-8."""
        return bytes(self._keys[self._ends[row] : self._ends[row + 1]])

    def by_key(self, rows: range, end: bytes = b"") -> Iterator[Record]:
        """Some of them, sorted by key and what follows it; while it lasts, another 4 bytes of each."""

        def sorted_by(row: int) -> bytes:
            return self.key(row) + end

        # runs that are sorted and then merged: all at once would hold an object for each row and for each key
        runs = [array("I", sorted(rows[at : at + RUN], key=sorted_by)) for at in range(0, len(rows), RUN)]
        for row in heapq.merge(*runs, key=sorted_by):
            yield self[row]

    def numbers(self, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Number columns (N,) float64 by name, in the order of their names; NaN where a patch has none.

        rows: of these alone, and no column of which they have nothing.
        """
        for column in self._numbers.values():
            _fill(column, len(self))
        columns = {name: viewed(self._numbers[name], np.float64) for name in sorted(self._numbers)}
        if rows is None:
            return columns
        some = {name: column[rows] for name, column in columns.items()}
        return {name: column for name, column in some.items() if not np.isnan(column).all()}

    def keys(self, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Keys end to end, (K,) uint8 of UTF-8, and their (N + 1,) uint64 offsets. rows: of these alone, ascending."""
        content, ends = viewed(self._keys, np.uint8), viewed(self._ends, np.uint64)
        if rows is None:
            return content, ends
        lengths = np.diff(ends).astype(np.int64)
        wanted = np.zeros(len(self), bool)
        wanted[rows] = True
        return content[np.repeat(wanted, lengths)], np.append(ends[:1], np.cumsum(lengths[rows], dtype=np.uint64))


def viewed(grown: "array[Any] | bytearray", dtype: DTypeLike) -> np.ndarray:
    """What was grown as an array, not copied. While that lives, growing it further raises BufferError."""
    return np.frombuffer(grown, dtype) if len(grown) else np.empty(0, dtype)


def _fill(column: "array[float]", length: int) -> None:
    column.extend([float("nan")] * (length - len(column)))


def key_text(content: np.ndarray, offsets: np.ndarray, row: int) -> str:
    """One key out of what `Listing.keys` gives."""
    return bytes(content[int(offsets[row]) : int(offsets[row + 1])]).decode()
