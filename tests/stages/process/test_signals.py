"""A signal is raised once; what arrives while the program ends is no second end."""

import contextlib
import os
import signal
import time

import pytest

from data.errors import ExitCode
from stages.process import signals
from stages.process.signals import Ended, watched


def told(number: signal.Signals) -> None:
    """This process is told; the handler runs before the long sleep has begun."""
    os.kill(os.getpid(), number)
    time.sleep(10)


def test_a_second_signal_does_not_strike_what_cleans_up_after_the_first() -> None:
    cleaned = []

    def work() -> None:
        try:
            told(signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            cleaned.append(True)

    with watched(), pytest.raises(Ended) as ended:
        work()
    assert cleaned
    assert ended.value.code == ExitCode.PREEMPTED


def test_nohup_is_heeded() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with watched() as watch:
            os.kill(os.getpid(), signal.SIGHUP)
            signals.take_back()
            os.kill(os.getpid(), signal.SIGHUP)
            assert watch.code is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_a_library_swallowed_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "AGAIN_S", 0.05)

    def work() -> None:
        with contextlib.suppress(BaseException):  # as a library may
            told(signal.SIGUSR1)
        time.sleep(10)

    with watched(), pytest.raises(Ended) as ended:
        work()
    assert ended.value.code == ExitCode.PREEMPTED


def test_between_batches_the_first_signal_is_a_flag_and_the_second_an_end() -> None:
    asked = []

    def work() -> None:
        with signals.between_batches():
            os.kill(os.getpid(), signal.SIGTERM)
            asked.append(signals.asked())
            told(signal.SIGTERM)

    with watched(), pytest.raises(Ended):
        work()
    assert asked == [True]


def test_the_end_of_a_batch_that_never_comes_is_not_waited_for() -> None:
    def work() -> None:
        with signals.between_batches():
            told(signal.SIGUSR1)

    with watched(grace_s=0.05), pytest.raises(Ended):
        work()
