"""Negative labels: what a round believes patches are *not* (Rizve et al. 2021). One row a patch and class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.select.tables import columns_of, groups_of_columns, write_table

FILE = "negative.parquet"
DTYPES: dict[str, np.dtype] = {"id": np.dtype(np.uint64), "label": np.dtype(np.int16)}


@dataclass(frozen=True)
class Negatives:
    """Rows sorted by (id, label). ids: (M,) uint64; label: (M,) int16, a class the patch is not."""

    ids: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def without(self, ids: np.ndarray) -> "Negatives":
        """The rows of other patches than `ids`."""
        rest = ~np.isin(self.ids, ids)
        return Negatives(self.ids[rest], self.label[rest])

    @staticmethod
    def of(ids: np.ndarray, label: np.ndarray) -> "Negatives":
        """From rows in any order."""
        order = np.lexsort((label, ids))
        return Negatives(ids[order].astype(np.uint64), label[order].astype(np.int16))


def write_negatives(directory: Path, pieces: Iterable[Negatives]) -> None:
    """Write negative.parquet (id, label) from pieces by rising id, at least one. Equal rows are equal bytes."""
    write_table(directory / FILE, ({"id": piece.ids, "label": piece.label} for piece in pieces), {})


def read_negatives(directory: Path) -> Negatives | None:
    """Of a select stage's directory; None where its rule gives none. Raises ChainError (76) when it is damaged."""
    path = directory / FILE
    if not path.is_file():
        return None
    columns = columns_of(path, DTYPES)
    return Negatives(columns["id"], columns["label"])


def read_pieces_of_negatives(directory: Path) -> Iterator[Negatives]:
    """What `write_negatives` wrote, a row group a piece. Raises ChainError (76) when it cannot be read."""
    for columns in groups_of_columns(directory / FILE, DTYPES):
        yield Negatives(columns["id"], columns["label"])
