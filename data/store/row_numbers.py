"""The number columns of a store, seen from one of its rows."""

from collections.abc import Iterator, Mapping

import numpy as np


class RowNumbers(Mapping[str, float]):
    """Name -> number of one row. Holds two references, so that a listing of millions stays small.

    columns: (N,) float64 by name.
    """

    __slots__ = ("_columns", "_row")

    def __init__(self, columns: dict[str, np.ndarray], row: int) -> None:
        self._columns, self._row = columns, row

    def __getitem__(self, name: str) -> float:
        return float(self._columns[name][self._row])

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)
