"""A signal is raised once; what arrives while the program ends is no second end."""

import os
import signal
import time

import pytest

from data.errors import ExitCode
from stages import signals
from stages.signals import Ended, watched


def test_a_second_signal_does_not_strike_what_cleans_up_after_the_first() -> None:
    cleaned = False
    with watched(), pytest.raises(Ended) as ended:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            cleaned = True
    assert cleaned
    assert ended.value.code == ExitCode.PREEMPTED


def test_what_a_library_swallowed_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "AGAIN_S", 0.05)
    with watched(), pytest.raises(Ended) as ended:
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(10)
        except BaseException:
            pass  # as a library may
        time.sleep(10)
    assert ended.value.code == ExitCode.PREEMPTED


def test_between_batches_the_first_signal_is_a_flag_and_the_second_an_end() -> None:
    with watched(), pytest.raises(Ended), signals.between_batches():
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.asked()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)


def test_the_end_of_a_batch_that_never_comes_is_not_waited_for() -> None:
    with watched(grace_s=0.05), pytest.raises(Ended), signals.between_batches():
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(10)
