"""A full disk is one error, whichever library was writing: OSError with the number that says so."""

import errno
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data.errors import ChainError, ExitCode
from data.files import disk
from data.files.atomic import replacing

LIMIT = 100_000
WRITERS: dict[str, Callable[[Path], object]] = {
    "python": lambda path: path.write_bytes(bytes(10 * LIMIT)),
    "torch": lambda path: torch.save({"x": torch.zeros(LIMIT)}, path),
    "safetensors": lambda path: save_file({"x": torch.zeros(LIMIT)}, path),
    "numpy": lambda path: np.save(path.open("wb"), np.zeros(LIMIT)),
    "h5py": lambda path: h5py.File(path, "w").create_dataset("x", data=np.zeros(LIMIT)).file.close(),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_finds_no_room_is_named_and_leaves_what_was_there(tmp_path: Path, writer: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
            with replacing(path) as part:
                WRITERS[writer](part)
        except OSError as error:
            code = 0 if error.errno == errno.EFBIG and "file" in str(error.filename or "file") else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(KeyError), replacing(tmp_path / "file"):
        raise KeyError("mine")
    assert not list(tmp_path.iterdir())


def test_what_will_not_fit_is_refused_before_it_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.refuse_if_short(tmp_path, 1, "a byte")
    usage = type("Usage", (), {"free": 300_000_000})
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ChainError) as caught:
        disk.refuse_if_short(tmp_path, 1.2e9, "the store")
    assert caught.value.code == ExitCode.IO
    assert "the store needs about 1.2 GB, 300.0 MB are free" in caught.value.what
    assert str(tmp_path) in caught.value.why


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_an_error_that_shows_only_when_the_file_is_forced_to_disk_leaves_what_was_there(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def late(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", late)
    with pytest.raises(OSError, match=os.strerror(number)) as caught, replacing(path) as part:
        part.write_bytes(b"after")
    assert caught.value.errno == number
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
