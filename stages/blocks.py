"""A pool in pieces: a hundred million patches are never in memory with all that is computed of them."""

import mmap
from collections.abc import Iterator

import numpy as np

BLOCK = 1 << 16  # rows: their columns fit a processor's cache


def blocks(count: int) -> Iterator[slice]:
    """0..count as consecutive slices of at most BLOCK rows."""
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def let_go(*arrays: np.ndarray) -> None:
    """Let this process's share of a mapped file's pages go: they count as its memory while no other maps them.

    They stay in the system's cache, and the next read maps them again. Arrays in memory stay what they are.
    """
    for array in arrays:
        base = array
        while isinstance(base, np.ndarray) and base.base is not None:
            base = base.base
        if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            base.madvise(mmap.MADV_DONTNEED)
