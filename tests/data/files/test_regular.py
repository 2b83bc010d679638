"""A file is a regular one: a pipe is not waited for, a device not read, and neither is there."""

import os
from pathlib import Path

import pytest

from data.files.regular import read_regular


def test_a_file_and_a_link_to_one_are_read(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    (tmp_path / "l").symlink_to("f")
    assert read_regular(tmp_path / "f") == read_regular(tmp_path / "l") == b"x" * 100_000


def test_a_pipe_and_a_device_are_as_if_nothing_were_there(tmp_path):
    os.mkfifo(tmp_path / "p")
    (tmp_path / "l").symlink_to("p")
    for path in (tmp_path / "p", tmp_path / "l", Path("/dev/zero"), tmp_path / "none"):
        with pytest.raises(FileNotFoundError):
            read_regular(path)
