"""What sources list, in columns: some 60 bytes a patch and its key, where a `Record` and its texts are 700."""

from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from data.readers.base import Record
from data.table import Column

NAMED = ("patient", "slide", "site", "label", "split")


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
        """What was added so far."""
        return Column(np.array(self._codes, np.int32), np.array(self._names, dtype=np.str_))


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

    def add(self, record: Record) -> None:
        """Append one."""
        for name, texts in self.texts.items():
            texts.add(getattr(record, name))
        for name, number in record.numbers.items():
            column = self._numbers.setdefault(name, array("d"))
            _fill(column, len(self))
            column.append(number)
        self._keys += record.key.encode()
        self._ends.append(len(self._keys))

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
        """Some of them, sorted by key and what follows it; while it lasts, another 100 bytes of each and its key."""
        for row in sorted(rows, key=lambda row: self.key(row) + end):
            yield self[row]

    def numbers(self) -> dict[str, np.ndarray]:
        """Number columns (N,) float64 by name, in the order of their names; NaN where a patch has none."""
        for column in self._numbers.values():
            _fill(column, len(self))
        return {name: np.array(self._numbers[name], np.float64) for name in sorted(self._numbers)}

    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys end to end, (K,) uint8 of UTF-8, and their (N + 1,) uint64 offsets."""
        return np.frombuffer(bytes(self._keys), np.uint8), np.array(self._ends, np.uint64)


def _fill(column: "array[float]", length: int) -> None:
    column.extend([float("nan")] * (length - len(column)))


def key_text(content: np.ndarray, offsets: np.ndarray, row: int) -> str:
    """One key out of what `Listing.keys` gives."""
    return bytes(content[int(offsets[row]) : int(offsets[row + 1])]).decode()
