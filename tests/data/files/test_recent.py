"""What is open is bounded, shared by threads, opened once, and never shared with a fork."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from data.files.recent import Recent


def test_the_least_recently_used_goes_first():
    opened: list[int] = []
    recent = Recent(lambda key: opened.append(key) or -key, most=3)
    assert [recent(key) for key in (0, 1, 2, 0, 3)] == [0, -1, -2, 0, -3]
    assert (opened, len(recent)) == ([0, 1, 2, 3], 3)
    recent(0)  # used after 1
    assert opened == [0, 1, 2, 3]
    recent(1)
    assert opened == [0, 1, 2, 3, 1]


def test_threads_open_a_key_once_and_do_not_wait_for_another():
    opened: list[str] = []
    slow = threading.Event()

    def open_(key: str) -> str:
        opened.append(key)
        if key == "slow":
            slow.wait(10)
        return key

    recent = Recent(open_, most=2)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(recent, "slow") for _ in range(4)]
        while "slow" not in opened:
            time.sleep(0.001)
        assert recent("other") == "other"
        slow.set()
        assert {job.result() for job in waiting} == {"slow"}
    assert sorted(opened) == ["other", "slow"]


def test_an_error_is_not_remembered():
    answers = iter([ValueError("first"), "second"])

    def open_(key: int) -> str:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    recent = Recent(open_, most=1)
    with pytest.raises(ValueError, match="first"):
        recent(0)
    assert recent(0) == "second"


def test_a_forked_child_opens_its_own_whatever_lock_a_thread_held():
    recent = Recent(lambda key: os.getpid(), most=2)
    ours = recent(0)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with recent._lock:
            held.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if recent(0) == os.getpid() != ours else 1)
    release.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert recent(0) == ours
