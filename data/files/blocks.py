"""Rows out of blocks: compressed sources are read and unpacked a block at a time, each once, in bounded memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from data.cores import cores

BLOCK_BYTES = 16 << 20
KEPT_LEAST = 3  # on both sides of a border, and the one after
KEPT_MOST = 16  # of BLOCK_BYTES, one a thread: so many patches have these in hand at once where patches are large


class Blocks:
    """Thread-safe access to single rows through whole blocks; `read(start, stop) -> (stop - start, ...)`."""

    def __init__(self, read: Callable[[int, int], np.ndarray], rows: int, row_bytes: int, multiple: int = 1) -> None:
        """`multiple`: the rows of one chunk in the file, so that no chunk is unpacked twice."""
        wanted = max(1, BLOCK_BYTES // max(1, row_bytes))
        self._size = max(multiple, wanted // multiple * multiple)
        together = min(KEPT_MOST, cores()) * BLOCK_BYTES
        self._kept = max(KEPT_LEAST, together // max(1, self._size * row_bytes))
        self._read, self._rows = read, rows
        self._blocks: OrderedDict[int, np.ndarray] = OrderedDict()  # the longest unused first
        self._next = 0  # after the highest that was read
        self._lock = threading.Lock()

    def row(self, row: int) -> np.ndarray:
        """A copy of one row."""
        number, inside = divmod(row, self._size)
        with self._lock:
            if number not in self._blocks:
                self._load(number)
            # threads run ahead of each other: the lowest block may be the one that is asked for just now
            self._blocks.move_to_end(number)
            while len(self._blocks) > self._kept:
                self._blocks.popitem(last=False)
            block = self._blocks[number]
        one: np.ndarray = block[inside].copy()
        return one

    def _load(self, number: int) -> None:
        # a thread that runs ahead may ask first: what lies between will be asked for too, and an archive that is read
        # forwards alone would have to begin again for it
        near = 0 <= number - self._next < self._kept
        for one in range(self._next if near else number, number + 1):
            start = one * self._size
            self._blocks[one] = self._read(start, min(start + self._size, self._rows))
        self._next = max(self._next, number + 1)
