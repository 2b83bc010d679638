import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import fault
from data.errors import ChainError, ExitCode


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    fault.arm(None)


def test_without_the_variable_a_point_does_nothing_and_counts_nothing(tmp_path: Path) -> None:
    fault.arm(None)
    (tmp_path / "file").write_bytes(b"whole")
    fault.point("a")
    fault.written("b", tmp_path / "file")
    assert not fault.poisoned("c")
    assert not fault.seen
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_only_the_nth_passage_of_the_named_point_is_struck() -> None:
    fault.arm("a@3@enospc")
    for _ in range(2):
        fault.point("a")
        fault.point("b")
    with pytest.raises(OSError, match="No space left") as caught:
        fault.point("a")
    assert caught.value.errno == errno.ENOSPC
    fault.point("a")


@pytest.mark.parametrize(("kind", "error"), [("eio", OSError), ("oom", MemoryError), ("exc", fault.InjectedError)])
def test_every_error_is_raised_as_it_would_be(kind: str, error: type[Exception]) -> None:
    fault.arm(f"a@1@{kind}")
    with pytest.raises(error):
        fault.point("a")


def test_a_torn_file_is_half_a_file_and_its_writer_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    child = os.fork()
    if not child:
        fault.arm("a@1@torn")
        fault.written("a", path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert path.stat().st_size == 50


def test_what_is_no_fault_is_refused_by_name() -> None:
    for text in ("a", "a@0@kill", "a@x@kill", "a@1@explode", "@1@kill", "a@1"):
        with pytest.raises(ChainError) as caught:
            fault.arm(text)
        assert caught.value.code == ExitCode.USAGE
        assert text in caught.value.what
