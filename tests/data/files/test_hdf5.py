import os
import subprocess
import sys

import numpy as np
import pytest

from data.errors import ChainError
from data.files.hdf5 import attribute, dataset, fixed_text, h5py, open_file, read, read_texts


@pytest.fixture
def path(tmp_path):
    return tmp_path / "X.h5"


def _refusal(path, name):
    with pytest.raises(ChainError) as caught, open_file(path) as file:
        dataset(file, name)
    assert "X.h5" in caught.value.what
    assert repr(name) in caught.value.what
    return caught.value


def test_plain_datasets_are_read_whatever_their_allowed_filters(path):
    values = np.arange(1000).reshape(100, 10)
    with h5py.File(path, "w") as file:
        file["a/b"] = values
        file.create_dataset("c", data=values, compression="gzip", shuffle=True, fletcher32=True)
        file.create_dataset("d", data=values, compression="lzf")
    with open_file(path) as file:
        for name in ("a/b", "c", "d"):
            assert np.array_equal(read(dataset(file, name), 10, 20), values[10:20])


@pytest.mark.parametrize("share", range(1, 20))
def test_a_cut_file_is_named_at_every_point(path, share):
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(5000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * share // 20])
    with pytest.raises(ChainError, match=r"X\.h5 is truncated or not HDF5") as caught, open_file(path):
        pass
    assert caught.value.code == 65


def test_damaged_values_are_refused_naming_file_and_dataset(path):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", data=np.arange(5000), chunks=(5000,), fletcher32=True)
        where = data.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[where + 99] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChainError, match=r"X\.h5: dataset '/x' cannot be read"), open_file(path) as file:
        read(dataset(file, "x"), 0, 10)


def test_an_absent_file_or_dataset_is_missing(path):
    with pytest.raises(ChainError) as caught, open_file(path):
        pass
    assert caught.value.code == 66
    with h5py.File(path, "w") as file:
        file["images"] = [1]
    error = _refusal(path, "x")
    assert error.code == 66
    assert "images" in error.why


@pytest.mark.parametrize("name", ["x", "deep/x", "chain/x"])
def test_links_are_never_followed(path, tmp_path, name):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = [1]
        file["group/x"] = [1]
    with h5py.File(path, "w") as file:
        file["here/x"] = [1]
        file["x"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")
        file["deep"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/group")
        file["chain"] = h5py.SoftLink("/here")
    assert _refusal(path, name).code == 65


@pytest.mark.parametrize("name", ["../x", "./x", "a//x", ""])
def test_only_plain_steps_are_walked(path, name):
    with h5py.File(path, "w") as file:
        file["x"] = [1]
        file["a/x"] = [1]
    _refusal(path, name)


def test_external_storage_is_refused(path, tmp_path):
    (tmp_path / "raw").write_bytes(bytes(100))
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (100,), "u1", external=[(str(tmp_path / "raw"), 0, 100)])
    assert "another file" in _refusal(path, "x").why


def test_virtual_datasets_are_refused(path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(10)
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((10,), "i8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (10,))
        file.create_virtual_dataset("x", layout)
    assert "virtual" in _refusal(path, "x").why


def test_a_shape_bomb_is_refused(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (1 << 40,), "u1", chunks=(1 << 20,), compression="gzip")
    assert path.stat().st_size < 10_000
    assert "declares 1,099,511,627,776 bytes" in _refusal(path, "x").why


@pytest.mark.parametrize(
    ("shape", "options", "why"),
    [
        ((1 << 25,), {}, "declares 33,554,432 bytes and stores 0"),  # never written
        ((1 << 60, 0, 3), {}, "declares 3,458,764,513,820,540,928 bytes"),
        ((1 << 31, 1), {"chunks": (1 << 31, 1)}, "chunks"),
    ],
)
def test_rows_that_are_not_there_are_refused(path, shape, options, why):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", shape, "u1", **options)
        if options:  # a chunk of 2 GiB of zeros, packed well below the ratio by hand
            data.id.write_direct_chunk((0, 0), bytes(1 << 22))
    assert why in _refusal(path, "x").why


def test_unknown_filters_are_refused(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (100,), "i4", chunks=(10,), scaleoffset=4)
    assert "filter 6" in _refusal(path, "x").why


def test_objects_are_refused_and_texts_are_not(path):
    with h5py.File(path, "w") as file:
        file["texts"] = ["one", "zwei"]
        file.create_dataset("lists", (2,), h5py.vlen_dtype(np.int32))
        file.create_dataset("pointers", (2,), h5py.ref_dtype)
    _refusal(path, "lists")
    _refusal(path, "pointers")
    with open_file(path) as file:
        assert read_texts(dataset(file, "texts")) == ["one", "zwei"]


def test_no_filter_plugin_can_be_loaded_even_when_h5py_came_first(tmp_path):
    code = "import h5py, data.files.hdf5; print(h5py.h5pl.size())"
    environment = {**os.environ, "HDF5_PLUGIN_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_attributes_are_numbers_or_texts_of_fixed_length(path):
    with h5py.File(path, "w") as file:
        file.attrs.update({"n": 3, "text": fixed_text("é"), "long": "in the heap", "many": [1, 2]})
    with open_file(path) as file:
        assert [attribute(file, name) for name in ("n", "text", "absent")] == [3, "é", None]
        for name in ("long", "many"):
            with pytest.raises(TypeError, match=name):
                attribute(file, name)
