"""What a round believes: the kept patches of the pool with their pseudo-labels."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.atomic import replacing
from data.errors import ChainError, ExitCode
from stages.select.tables import columns_of

DTYPES: dict[str, np.dtype] = {
    "ids": np.dtype(np.uint64),
    "label": np.dtype(np.int16),
    "confidence": np.dtype(np.float32),
    "weight": np.dtype(np.float32),
    "copies": np.dtype(np.int32),
    "first_round": np.dtype(np.int16),
}


@dataclass(frozen=True)
class Selection:
    """Kept patches, rows sorted by (id, label). A patch may stand under several labels (top_k with p > 1).

    ids: (M,) uint64; label: (M,) int16; confidence: (M,) float32, calibrated probability of `label`;
    weight: (M,) float32 >= 0, factor in the loss; copies: (M,) int32 >= 0, times seen in an epoch;
    first_round: (M,) int16, first round of the unbroken run of rounds that kept this (id, label).
    """

    ids: np.ndarray
    label: np.ndarray
    confidence: np.ndarray
    weight: np.ndarray
    copies: np.ndarray
    first_round: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def of(
        ids: np.ndarray,
        label: np.ndarray,
        confidence: np.ndarray,
        round: int,
        weight: np.ndarray | float = 1.0,
        copies: np.ndarray | int = 1,
    ) -> "Selection":
        """A selection new in this round, from rows in any order. ids, label, confidence: (M,)."""
        order = np.lexsort((label, ids))
        columns: dict[str, np.ndarray] = {
            "ids": ids,
            "label": label,
            "confidence": confidence,
            "weight": np.broadcast_to(weight, ids.shape),
            "copies": np.broadcast_to(copies, ids.shape),
            "first_round": np.full(ids.shape, round),
        }
        return Selection(**{name: column[order].astype(DTYPES[name]) for name, column in columns.items()})


def without(selection: Selection, ids: np.ndarray) -> Selection:
    """The rows of other patches than `ids`."""
    rest = ~np.isin(selection.ids, ids)
    return selection if rest.all() else Selection(**{name: getattr(selection, name)[rest] for name in DTYPES})


def continued(selection: Selection, previous: Selection) -> Selection:
    """The selection with `first_round` taken over from the round before, where it kept the same (id, label)."""
    held, at = _find(selection, previous)
    first = selection.first_round.copy()
    first[held] = previous.first_round[at]
    return replace(selection, first_round=first)


def same(one: Selection, other: Selection) -> bool:
    """Whether two rounds keep the same patches under the same labels, equally often and with equal weights."""
    columns = ("ids", "label", "copies", "weight")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in columns)


def _find(selection: Selection, previous: Selection) -> tuple[np.ndarray, np.ndarray]:
    # rows of `selection` whose (id, label) is in `previous`, and where
    ids = np.concatenate([previous.ids, selection.ids])
    label = np.concatenate([previous.label, selection.label])
    order = np.lexsort((label, ids))  # stable: the previous row of a pair comes first
    pair = np.flatnonzero((ids[order[1:]] == ids[order[:-1]]) & (label[order[1:]] == label[order[:-1]]))
    return order[pair + 1] - len(previous), order[pair]


def write_selection(path: Path, selection: Selection) -> None:
    """Write `selection.parquet` (id, label, confidence, weight, copies, first_round). Equal rows are equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {_column(name): getattr(selection, name).astype(dtype) for name, dtype in DTYPES.items()}
    with replacing(path) as part:
        pq.write_table(pa.table(columns), part)


def read_selection(path: Path) -> Selection:
    """Read `selection.parquet`. Raises ChainError: 66 when it is not there, 76 when it cannot be read."""
    if not path.is_file():
        raise ChainError(
            f"{path} is missing", "it holds the pseudo-labels of a round", "run the chain again", ExitCode.MISSING
        )
    columns = columns_of(path, {_column(name): dtype for name, dtype in DTYPES.items()})
    return Selection(**{name: columns[_column(name)] for name in DTYPES})


def _column(name: str) -> str:
    return "id" if name == "ids" else name
