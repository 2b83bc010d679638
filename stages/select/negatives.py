"""Negative labels: what a round believes patches are *not* (Rizve et al. 2021). One row a patch and class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.atomic import replacing
from stages.select.tables import columns_of

FILE = "negative.parquet"


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


def write_negatives(directory: Path, negatives: Negatives) -> None:
    """Write negative.parquet (id, label). Equal rows are equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(directory / FILE) as part:
        pq.write_table(pa.table({"id": negatives.ids, "label": negatives.label}), part)


def read_negatives(directory: Path) -> Negatives | None:
    """Of a select stage's directory; None where its rule gives none. Raises ChainError (76) when it is damaged."""
    path = directory / FILE
    if not path.is_file():
        return None
    columns = columns_of(path, {"id": np.dtype(np.uint64), "label": np.dtype(np.int16)})
    return Negatives(columns["id"], columns["label"])
