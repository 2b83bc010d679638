"""What is remembered of a selection while it is written in pieces: as much as its figures need, and no more."""

from collections.abc import Iterable, Iterator

import numpy as np

from stages.select.figures import Kept
from stages.select.selection import Selection


class Noted:
    """Pieces on their way to the writer. pool: (P,) uint64, ids by rising id."""

    def __init__(self, pool: np.ndarray) -> None:
        self._pool = pool
        self._parts: list[Kept] = []
        none = np.empty(0)
        self.seen = Selection.of(none, none, none, 0)  # a row with copies, where there is one

    def of(self, pieces: Iterable[Selection]) -> Iterator[Selection]:
        """The pieces as they are, noted."""
        for piece in pieces:
            self._parts.append(kept_of(piece, self._pool))
            if not len(self.seen):
                self.seen = piece.take(np.flatnonzero(piece.copies > 0)[:1])
            yield piece

    @property
    def kept(self) -> Kept:
        """Of all pieces so far: 10 bytes a row."""
        columns = ([getattr(part, name) for part in self._parts] for name in ("row", "label", "confidence"))
        return Kept(*map(np.concatenate, columns))


def kept_of(selection: Selection, pool: np.ndarray) -> Kept:
    """A whole selection in terms of the pool, (P,) ids by rising id, all of which are in it."""
    rows = np.searchsorted(pool, selection.ids)
    assert np.array_equal(pool[np.minimum(rows, len(pool) - 1)], selection.ids), "a kept patch is not pool"
    return Kept(rows.astype(np.uint32), selection.label, selection.confidence)
