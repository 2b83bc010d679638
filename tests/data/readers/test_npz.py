import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from data.errors import ChainError
from data.readers.npz import Npz


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("pickle-was-loaded",)


@pytest.fixture
def arrays(patch):
    plain = {f"{s}_images": np.stack([patch(10 * k + i, 28, 1)[:, :, 0] for i in range(5)])
             for k, s in enumerate(("train", "val", "test"))}  # fmt: skip
    return plain | {f"{s}_labels": np.arange(5).reshape(5, 1) % 3 for s in ("train", "val", "test")}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_medmnist_keeps_its_splits_and_pixels(tmp_path, arrays, save, monkeypatch):
    monkeypatch.setattr("data.files.blocks.BLOCK_BYTES", 2 * 28 * 28)  # several blocks
    save(tmp_path / "m.npz", **arrays)
    reader = Npz(path=tmp_path / "m.npz", label_names={"0": "x", "1": "y", "2": "z"})
    records = list(reader.records())
    assert [r.split for r in records] == ["train"] * 5 + ["validation"] * 5 + ["test"] * 5
    assert [r.label for r in records[:4]] == ["x", "y", "z", "x"]
    for record in [*records, records[0]]:
        split, row = record.key.split("/")
        assert np.array_equal(reader.content(record), arrays[f"{split}_images"][int(row)])


@pytest.mark.parametrize("name", ["train_images", "train_labels", "anything"])
def test_a_pickled_array_is_refused_and_never_loaded(tmp_path, arrays, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays[name] = np.array([_Evil()] * 5, dtype=object)
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(ChainError, match=name) as caught:
        list(Npz(path=tmp_path / "m.npz").records())
    assert caught.value.code == 65
    assert "pickled" in caught.value.why
    assert not (tmp_path / "pickle-was-loaded").exists()


def test_a_changed_byte_is_found_by_the_checksum(tmp_path, arrays):
    np.savez(tmp_path / "m.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        start = archive.getinfo("train_images.npy").header_offset
    content = bytearray((tmp_path / "m.npz").read_bytes())
    content[start + 1000] ^= 1
    (tmp_path / "m.npz").write_bytes(content)
    reader = Npz(path=tmp_path / "m.npz")
    with pytest.raises(ChainError, match="train_images"):  # a large array at its end, a small one at once
        reader.content(next(iter(reader.records())))


def test_a_size_that_is_not_there_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "m.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["train_images.npy"] = members["train_images.npy"].replace(b"(5, 28, 28)", b"(9, 28, 28)")
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ChainError, match="train_images"):
        list(Npz(path=tmp_path / "m.npz").records())


def test_an_archive_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "m.npz", stuff=np.zeros(3))
    with pytest.raises(ChainError, match="holds none of train_images") as caught:
        list(Npz(path=tmp_path / "m.npz").records())
    assert caught.value.code == 66


def test_several_labels_a_patch_are_refused(tmp_path, arrays):
    arrays["train_labels"] = np.zeros((5, 14), int)
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(ChainError, match="train_labels"):
        list(Npz(path=tmp_path / "m.npz").records())


@pytest.mark.parametrize("header", [b"{'descr': (", b"{[", b"0", b"{'descr': 'z9', 'fortran_order': 0, 'shape': (1,)}"])
def test_a_header_that_is_none_is_refused(tmp_path, header):
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        content = header + b" " * (117 - len(header)) + b"\n"
        archive.writestr("train_images.npy", b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content)
    with pytest.raises(ChainError, match="train_images"):
        list(Npz(path=tmp_path / "m.npz").records())


def test_a_header_of_gigabytes_is_refused_before_it_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        blanks = b" " * (64 << 20)
        archive.writestr("train_images.npy", b"\x93NUMPY\x02\x00" + len(blanks).to_bytes(4, "little") + blanks)
    tracemalloc.start()
    with pytest.raises(ChainError, match="train_images"):
        list(Npz(path=tmp_path / "m.npz").records())
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
