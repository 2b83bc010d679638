import numpy as np
import pytest

from data.errors import ChainError
from data.ingest import ingest
from data.patches.given import given_codes
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels


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


def test_who_has_which_split_is_the_same_from_a_store_of_it(tmp_path, folder, config):
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    splits = ["labelled", "pool", "validation", "test", "train", ""]
    rows = [f"{name},A,{splits[at % len(splits)]}" for at, name in enumerate(names)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    for part in ("split", "labelled", "pool", "test"):
        first, second = tmp_path / f"{part}-1.h5", tmp_path / f"{part}-2.h5"
        source = {"kind": "manifest", "name": "x", "path": tmp_path / "list.csv", "root": folder, "part": part}
        ingest(config(source), first, tmp_path / "q.csv")
        ingest(config({"kind": "store", "path": first}), second, tmp_path / "q.csv")
        given = [given_codes(said.split, said.part).tolist() for said in map(read_source_labels, (first, second))]
        assert given[0] == given[1]
        assert len(set(given[0])) == (len(splits) if part == "split" else 1)


def test_a_directory_is_told_from_the_file_in_it(tmp_path, config):
    with pytest.raises(ChainError, match="is a directory") as caught:
        ingest(config({"kind": "store", "path": tmp_path}), tmp_path / "s.h5", tmp_path / "q.csv")
    assert caught.value.code == 66
    assert "data/store/patches.h5" in caught.value.todo


def test_another_hdf5_file_is_no_store(tmp_path, config):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(ChainError, match="no patch store") as caught:
        ingest(config({"kind": "store", "path": tmp_path / "x.h5"}), tmp_path / "s.h5", tmp_path / "q.csv")
    assert caught.value.code == 78
