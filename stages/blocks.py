"""A pool in pieces: a hundred million patches are never in memory with all that is computed of them."""

import mmap
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from data.cores import cores

BLOCK = 1 << 16  # rows: their columns fit a processor's cache
THREADS = 2
LEAF = 128  # rows: NumPy adds so many side by side, and halves of more
SCATTERED = 1 << 5  # rows taken from a mapped file at once: one touch may map 2 MiB around it

Made = TypeVar("Made")


def blocks(count: int, size: int | None = None) -> Iterator[slice]:
    """0..count as consecutive slices of at most `size` rows, BLOCK unless told."""
    step = size or BLOCK
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def of_blocks(count: int, work: Callable[[slice], Made], size: int | None = None) -> Iterator[Made]:
    """What `work` makes of every slice of `blocks`, in order, on two threads where there are two processors.

    What one call writes no other may read. NumPy lets go of the interpreter while it computes. Of what is made only a
    few pieces wait to be asked for.
    """
    threads = min(THREADS, cores())
    if threads == 1 or count <= (size or BLOCK):
        yield from map(work, blocks(count, size))
        return
    made: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for rows in blocks(count, size):
            made.append(pool.submit(work, rows))
            if len(made) > 2 * threads:
                yield made.popleft().result()
        while made:
            yield made.popleft().result()


def each_block(count: int, work: Callable[[slice], None]) -> None:
    """Call `work` with every slice of `blocks`, as `of_blocks` does."""
    deque(of_blocks(count, work), maxlen=0)


def added(count: int, values: Callable[[slice], np.ndarray]) -> float:
    """The sum of (count,) float64 that are computed where they are asked for, in the order in which NumPy adds them.

    That is, by halves down to what one block holds: the digits do not depend on how large that is.
    """

    def between(start: int, stop: int) -> float:
        n = stop - start
        if n <= max(BLOCK, LEAF):
            return float(values(slice(start, stop)).sum())
        half = n // 2
        half -= half % 8
        return between(start, start + half) + between(start + half, stop)

    return between(0, count)


def counts(codes: np.ndarray, classes: int, among: np.ndarray | None = None) -> np.ndarray:
    """How often each code stands in (N,) integers, at the rows `among`, (N,) bool: (C,) int64."""
    total = np.zeros(classes, np.int64)
    for rows in blocks(len(codes)):  # numpy counts in 8 bytes a code
        total += np.bincount(codes[rows] if among is None else codes[rows][among[rows]], minlength=classes)
    return total


def let_go(array: np.ndarray) -> None:
    """Let this process's share of a mapped file's pages go: they count as its memory while no other maps them.

    They stay in the system's cache, and the next read maps them again. An array in memory stays what it is.
    """
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def taken(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """array[rows]; of a mapped file so few rows at a time that the pages around them are not the whole file."""
    found = np.empty((len(rows), *array.shape[1:]), array.dtype)
    for part in range(0, len(rows), SCATTERED):
        found[part : part + SCATTERED] = array[rows[part : part + SCATTERED]]
        let_go(array)
    return found
