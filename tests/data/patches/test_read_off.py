"""A name is read off a path, and no expression, however hostile, takes more than its second."""

import threading
import time

import pytest

from data.errors import ChainError, ExitCode
from data.patches.read_off import SECONDS, read_off

PATH = "A/" + "a" * 60 + ".png"


def test_what_the_group_finds():
    assert read_off(r"/(p\d)", "A/p7_1.png", "x") == "p7"
    assert read_off(r"/(q\d)", "A/p7_1.png", "x") == ""
    assert read_off(r"/(q)?p", "A/p7_1.png", "x") == ""


@pytest.mark.parametrize("pattern", ["((?:a+)+)$", "((?:a|a)*)$", "((?:a|aa)+)$", "(.*.*.*.*.*.*.*.*.*.*b)"])
def test_a_search_without_an_end_is_stopped_and_named(pattern):
    began = time.process_time()
    with pytest.raises(ChainError, match=r"source main: patient_pattern .* does not come to an end in A/a") as refused:
        read_off(pattern, PATH, "source main: patient_pattern")
    assert refused.value.code == ExitCode.MISMATCH
    assert time.process_time() - began < 5 * SECONDS
    assert read_off("(a+)", PATH, "x") == "a" * 60  # and the next one is not


def test_it_stops_nothing_later(monkeypatch):
    monkeypatch.setattr("data.patches.read_off.SECONDS", 0.05)
    assert read_off("(a+)", PATH, "x")
    began = time.process_time()
    while time.process_time() - began < 0.1:
        pass


def test_another_thread_reads_the_same():
    found = []
    thread = threading.Thread(target=lambda: found.append(read_off("(a+)", PATH, "x")))
    thread.start()
    thread.join()
    assert found == ["a" * 60]
