"""Work in threads, results in order, only a bounded way ahead."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from data.pixels.bad_patch import BadPatch

CHUNK = 16  # items a task, unless told: fewer would cost more in hand-over than in work
AHEAD = 4  # tasks a thread that may be done before their results are taken
T = TypeVar("T")
R = TypeVar("R")


def in_order(
    items: Sequence[T], work: Callable[[T], R], threads: int, chunk: int = CHUNK
) -> Generator[tuple[T, R | BadPatch]]:
    """Each item with `work(item)`, or with the BadPatch it raised, in the order of items whatever the threads.

    chunk: items a task; fewer where each result is large.

    Any other exception ends the iteration; so does closing it, with nothing left running.
    """

    def do(part: Sequence[T]) -> list[R | BadPatch]:
        results: list[R | BadPatch] = []
        for item in part:
            try:
                results.append(work(item))
            except BadPatch as bad:
                results.append(bad)
        return results

    parts = (items[start : start + chunk] for start in range(0, len(items), chunk))
    ahead: deque[tuple[Sequence[T], Future[list[R | BadPatch]]]] = deque()
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="patches") as pool:
        try:
            ahead.extend((part, pool.submit(do, part)) for part in islice(parts, AHEAD * max(1, threads)))
            while ahead:
                part, future = ahead.popleft()
                results = future.result()
                ahead.extend((following, pool.submit(do, following)) for following in islice(parts, 1))
                yield from zip(part, results, strict=True)
        finally:
            pool.shutdown(cancel_futures=True)
