"""Work in threads, results in order, only a bounded way ahead."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from data.bad_patch import BadPatch

CHUNK = 16  # items a task: fewer would cost more in hand-over than in work
AHEAD = 4  # tasks a thread that may be done before their results are taken
T = TypeVar("T")
R = TypeVar("R")


def in_order(items: Sequence[T], work: Callable[[T], R], threads: int) -> Generator[tuple[T, R | BadPatch]]:
    """Each item with `work(item)`, or with the BadPatch it raised, in the order of items whatever the threads.

    Any other exception ends the iteration; so does closing it, with nothing left running.
    """

    def do(chunk: Sequence[T]) -> list[R | BadPatch]:
        results: list[R | BadPatch] = []
        for item in chunk:
            try:
                results.append(work(item))
            except BadPatch as bad:
                results.append(bad)
        return results

    chunks = (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
    ahead: deque[tuple[Sequence[T], Future[list[R | BadPatch]]]] = deque()
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="patches") as pool:
        try:
            ahead.extend((chunk, pool.submit(do, chunk)) for chunk in islice(chunks, AHEAD * max(1, threads)))
            while ahead:
                chunk, future = ahead.popleft()
                results = future.result()
                ahead.extend((following, pool.submit(do, following)) for following in islice(chunks, 1))
                yield from zip(chunk, results, strict=True)
        finally:
            pool.shutdown(cancel_futures=True)
