import numpy as np
import pytest

from data.errors import ChainError
from data.ingest import ingest
from data.source_labels import read_source_labels
from data.store import PatchStore


def test_a_store_of_a_store_holds_the_same_patches(tmp_path, folder, config):
    first, second = tmp_path / "first.h5", tmp_path / "second.h5"
    one = {"kind": "folder", "name": "one", "path": folder, "patient_pattern": r"(p\d)"}
    two = {"kind": "tree", "name": "two", "path": folder}
    ingest(config(one, two), first, tmp_path / "q.csv")
    ingest(config({"kind": "store", "path": first}), second, tmp_path / "q.csv")
    a, b = PatchStore(first), PatchStore(second)
    assert [b.key(row) for row in (0, 15)] == ["one/A/p0_0.jpg", "two/B/p1_3.jpg"]
    assert np.array_equal(a.table().pixels, b.table().pixels)
    assert [b.table().patient[r] for r in range(16)] == [a.table().patient[r] for r in range(16)]
    labels, before = read_source_labels(second), read_source_labels(first)
    assert [labels.label[r] for r in range(16)] == [before.label[r] for r in range(16)]
    assert [labels.split[r] for r in (0, 15)] == ["", "pool"]
    # JPEG bytes are kept as they are
    assert all(a.content(row) == b.content(row) for row in range(16))


def test_another_hdf5_file_is_no_store(tmp_path, config):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(ChainError, match="no patch store") as caught:
        ingest(config({"kind": "store", "path": tmp_path / "x.h5"}), tmp_path / "s.h5", tmp_path / "q.csv")
    assert caught.value.code == 78
