import threading

import pytest

from data.in_order import AHEAD, CHUNK, in_order
from data.pixels.bad_patch import BadPatch


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("n", [0, 1, CHUNK, CHUNK + 1, 500])
def test_results_come_in_order_whatever_the_threads(n, threads):
    assert list(in_order(range(n), lambda i: i * i, threads)) == [(i, i * i) for i in range(n)]


def test_a_bad_patch_is_a_result_and_the_others_go_on():
    def work(i: int) -> int:
        if i % 7 == 3:
            raise BadPatch(f"bad {i}")
        return i

    for i, result in in_order(range(100), work, 3):
        assert result.reason == f"bad {i}" if i % 7 == 3 else result == i


def test_another_error_ends_it():
    with pytest.raises(ZeroDivisionError):
        list(in_order(range(100), lambda i: 1 // (50 - i), 2))


def test_no_more_is_done_ahead_than_stated():
    lock, begun = threading.Lock(), 0

    def work(i: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
        return i

    threads = 2
    taken = in_order(range(10_000), work, threads)
    for i in range(3 * CHUNK):
        next(taken)
        # the chunk in hand, those ahead, and the one that took its place
        assert begun <= (i // CHUNK + 1 + AHEAD * threads) * CHUNK
    taken.close()
    assert begun < 20 * CHUNK
