"""Rows out of blocks: compressed sources are read and unpacked a block at a time, each once, in bounded memory."""

import threading
from collections.abc import Callable

import numpy as np

BLOCK_BYTES = 16 << 20
KEPT = 3  # threads look ahead over one border at a time


class Blocks:
    """Thread-safe access to single rows through whole blocks; `read(start, stop) -> (stop - start, ...)`."""

    def __init__(self, read: Callable[[int, int], np.ndarray], rows: int, row_bytes: int, multiple: int = 1) -> None:
        """`multiple`: the rows of one chunk in the file, so that no chunk is unpacked twice."""
        wanted = max(1, BLOCK_BYTES // max(1, row_bytes))
        self._size = max(multiple, wanted // multiple * multiple)
        self._read, self._rows = read, rows
        self._blocks: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def row(self, row: int) -> np.ndarray:
        """A copy of one row."""
        number, inside = divmod(row, self._size)
        with self._lock:
            if number not in self._blocks:
                start = number * self._size
                self._blocks[number] = self._read(start, min(start + self._size, self._rows))
                if len(self._blocks) > KEPT:
                    del self._blocks[min(self._blocks)]
            block = self._blocks[number]
        one: np.ndarray = block[inside].copy()
        return one
