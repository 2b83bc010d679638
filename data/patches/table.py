"""One row a patch: where it comes from and whose it is. Arrays, never Python lists."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Column:
    """A text column with few distinct values. codes: (N,) int32 into `names`; -1: unknown."""

    codes: np.ndarray
    names: np.ndarray  # (K,) of str, in order of first appearance

    def __getitem__(self, row: int) -> str:
        code = int(self.codes[row])
        return str(self.names[code]) if code >= 0 else ""

    def take(self, rows: np.ndarray) -> "Column":
        """The same column for some rows."""
        return Column(self.codes[rows], self.names)

    def recoded(self) -> "Column":
        """The same texts, with the names that a row has alone, in the order in which rows first have them."""
        codes, first = np.unique(self.codes, return_index=True)
        used = codes[np.argsort(first)]
        used = used[used >= 0]
        again = np.full(len(self.names) + 1, -1, np.int32)  # the last stands for -1, unknown
        again[used] = np.arange(len(used))
        return Column(again[self.codes], self.names[used])

    @staticmethod
    def of(values: Sequence[str]) -> "Column":
        """Encode texts; an empty text is unknown."""
        index: dict[str, int] = {}
        codes = np.fromiter(
            (index.setdefault(value, len(index)) if value else -1 for value in values), np.int32, len(values)
        )
        return Column(codes, np.array(list(index), dtype=np.str_))


@dataclass(frozen=True)
class PatchTable:
    """What is known of every patch in a store, in row order. Carries no label.

    ids: (N,) uint64 unique; pixels: (N, 2) uint64, first 128 bits of the SHA-256 of shape and pixels.
    """

    ids: np.ndarray
    pixels: np.ndarray
    source: Column
    patient: Column
    slide: Column
    site: Column

    def __len__(self) -> int:
        return len(self.ids)
