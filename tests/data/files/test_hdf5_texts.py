"""Texts of variable length: read by a child, so that a damaged heap costs a refusal and not the program."""

import subprocess
import time

import numpy as np
import pytest

from data.errors import ChainError
from data.files import hdf5_texts
from data.files.hdf5 import h5py
from data.files.hdf5_texts import isolated_texts
from data.readers.hdf5 import Hdf5


@pytest.fixture
def path(tmp_path):
    return tmp_path / "X.h5"


def _written(path, texts):
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros((len(texts), 8, 8, 3), "u1")
        file["y"] = texts
    return path


def test_labels_that_h5py_wrote_as_texts_are_read(path):
    labels = [record.label for record in Hdf5(path=_written(path, ["one", "größe", "one"])).records()]
    assert labels == ["one", "größe", "one"]


def _looping(path):
    """The first object of the heap has 2^64 - 16 bytes; with its header of 16 that is a step of zero, for ever."""
    raw = bytearray(_written(path, ["label"] * 40).read_bytes())
    size = raw.index(b"GCOL") + 16 + 8
    raw[size : size + 8] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(raw)


def test_a_damaged_heap_is_a_refusal_in_seconds(path, monkeypatch):
    monkeypatch.setattr(hdf5_texts, "SECONDS", 2)
    _looping(path)
    began = time.monotonic()
    with pytest.raises(ChainError, match=r"X\.h5") as caught:
        list(Hdf5(path=path).records())
    assert caught.value.code == 65
    assert "'/y'" in caught.value.what
    assert caught.value.why == "the HDF5 library does not come to an end within 2 s"
    assert time.monotonic() - began < 10


def test_a_child_that_crashes_or_does_not_end_is_a_refusal(path, monkeypatch):
    _written(path, ["a"])

    class Crashed:
        stdout, returncode = b"", -11

    monkeypatch.setattr(subprocess, "run", lambda *_, **__: Crashed)
    with pytest.raises(ChainError) as caught:
        isolated_texts(path, "/y", 1)
    assert "crashes" in caught.value.why

    def hang(*_, **options):
        raise subprocess.TimeoutExpired("x", options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(ChainError) as caught:
        isolated_texts(path, "/y", 1)
    assert "does not come to an end" in caught.value.why


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ([b"\xff\xfe"], "utf-8"),
        (["x" * 5000], "5,000 bytes"),
        ([["a", "b"]], "shape"),
    ],
)
def test_what_is_no_list_of_names_is_refused(path, texts, why):
    with h5py.File(path, "w") as file:
        file.create_dataset("y", data=np.array(texts, dtype=object), dtype=h5py.string_dtype())
    with pytest.raises(ChainError) as caught:
        isolated_texts(path, "y", 1)
    assert why in caught.value.why
