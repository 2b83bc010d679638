"""Grow a patch table row by row in compact arrays."""

from array import array

import numpy as np

from data.readers.base import Record
from data.source_labels import SourceLabels
from data.store_format import COLUMNS, SOURCE_LABELS
from data.table import Column, PatchTable


class _Texts:
    """A text column being built: 4 bytes a row, and each distinct text once."""

    def __init__(self) -> None:
        self._codes = array("i")
        self._index: dict[str, int] = {}

    def add(self, text: str) -> None:
        self._codes.append(self._index.setdefault(text, len(self._index)) if text else -1)

    def column(self) -> Column:
        return Column(np.array(self._codes, np.int32), np.array(list(self._index), dtype=np.str_))


class TableBuilder:
    """Rows of a patch table with the labels beside them, in the order they are added."""

    def __init__(self) -> None:
        self._ids = array("Q")
        self._pixels = array("Q")
        self._texts = {name: _Texts() for name in (*COLUMNS, *SOURCE_LABELS)}
        self._keys = bytearray()
        self._ends = array("Q", [0])
        self._numbers: dict[str, array[float]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, patch_id: int, record: Record, source: str, part: str, digest: tuple[int, int]) -> None:
        """Append one patch."""
        self._ids.append(patch_id)
        self._pixels.extend(digest)
        values = (source, record.patient, record.slide, record.site, record.label, record.split, part)
        for texts, value in zip(self._texts.values(), values, strict=True):
            texts.add(value)
        for name, number in record.numbers.items():
            column = self._numbers.setdefault(name, array("d"))
            _fill(column, len(self._ids) - 1)
            column.append(number)
        self._keys += record.key.encode()
        self._ends.append(len(self._keys))

    def table(self) -> PatchTable:
        """What was added, without labels."""
        ids, pixels = np.array(self._ids, np.uint64), np.array(self._pixels, np.uint64).reshape(-1, 2)
        return PatchTable(ids, pixels, *(self._texts[name].column() for name in COLUMNS))

    def labels(self) -> SourceLabels:
        """What the sources say of labels and splits."""
        return SourceLabels(*(self._texts[name].column() for name in SOURCE_LABELS))

    def numbers(self) -> dict[str, np.ndarray]:
        """Number columns (N,) float64 by name, in the order of their names; NaN where a patch has none."""
        for column in self._numbers.values():
            _fill(column, len(self._ids))
        return {name: np.array(self._numbers[name], np.float64) for name in sorted(self._numbers)}

    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys end to end, (K,) uint8 of UTF-8, and their (N + 1,) uint64 offsets."""
        return np.frombuffer(bytes(self._keys), np.uint8), np.array(self._ends, np.uint64)


def _fill(column: "array[float]", length: int) -> None:
    column.extend([float("nan")] * (length - len(column)))


def key_text(content: np.ndarray, offsets: np.ndarray, row: int) -> str:
    """One key out of what `TableBuilder.keys` gives."""
    return bytes(content[int(offsets[row]) : int(offsets[row + 1])]).decode()
