"""What a round believes: the kept patches of the pool with their pseudo-labels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import ChainError, ExitCode
from stages.select.tables import columns_of, groups_of_columns, write_table

DTYPES: dict[str, np.dtype] = {
    "ids": np.dtype(np.uint64),
    "label": np.dtype(np.int16),
    "confidence": np.dtype(np.float32),
    "weight": np.dtype(np.float32),
    "copies": np.dtype(np.int32),
    "first_round": np.dtype(np.int16),
}
# what repeats; ids and confidences do not: dictionaries and compression made them no smaller, and took most of the time
REPEATED = ["label", "weight", "copies", "first_round"]
LAYOUT: dict[str, Any] = {
    "use_dictionary": REPEATED,
    "compression": dict.fromkeys(REPEATED, "snappy") | {"id": "none", "confidence": "none"},
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
        columns = {
            "ids": ids,
            "label": label,
            "confidence": confidence,
            "weight": np.full(ids.shape, weight, DTYPES["weight"]),
            "copies": np.full(ids.shape, copies, DTYPES["copies"]),
            "first_round": np.full(ids.shape, round, DTYPES["first_round"]),
        }
        made = Selection(**{name: column.astype(DTYPES[name], copy=False) for name, column in columns.items()})
        return made if bool((made.ids[1:] > made.ids[:-1]).all()) else made.take(np.lexsort((label, ids)))

    def take(self, rows: np.ndarray | slice) -> "Selection":
        """Some of the rows, by number, mask or slice."""
        return Selection(**{name: getattr(self, name)[rows] for name in DTYPES})


def without(selection: Selection, ids: np.ndarray) -> Selection:
    """The rows of other patches than `ids`."""
    rest = ~np.isin(selection.ids, ids)
    return selection if rest.all() else selection.take(rest)


def joined(pieces: Sequence[Selection]) -> Selection:
    """Pieces of one selection, at least one, as a whole; no (id, label) may be in two."""
    whole = Selection(**{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in DTYPES})
    risen = bool((whole.ids[1:] > whole.ids[:-1]).all())
    return whole if risen else whole.take(np.lexsort((whole.label, whole.ids)))


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


def write_pieces(path: Path, pieces: Iterable[Selection]) -> None:
    """Write `selection.parquet` (id, label, confidence, weight, copies, first_round) from pieces by rising id.

    At least one piece; equal rows are equal bytes, however they are cut.
    """
    write_table(path, ({_column(name): getattr(piece, name) for name in DTYPES} for piece in pieces), LAYOUT)


def read_selection(path: Path) -> Selection:
    """Read `selection.parquet`. Raises ChainError: 66 when it is not there, 76 when it cannot be read."""
    if not path.is_file():
        raise ChainError(
            f"{path} is missing", "it holds the pseudo-labels of a round", "run the chain again", ExitCode.MISSING
        )
    columns = columns_of(path, {_column(name): dtype for name, dtype in DTYPES.items()})
    return Selection(**{name: columns[_column(name)] for name in DTYPES})


def read_pieces(path: Path) -> Iterator[Selection]:
    """What `write_pieces` wrote, a row group a piece. Raises ChainError (76) when it cannot be read."""
    for columns in groups_of_columns(path, {_column(name): dtype for name, dtype in DTYPES.items()}):
        yield Selection(**{name: columns[_column(name)] for name in DTYPES})


def _column(name: str) -> str:
    return "id" if name == "ids" else name
