"""HDF5, NumPy archives and Parquet: places, code and sizes that a file of numbers may name."""

import io
import os
import pickle
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.hostile.case import Deed, Place, case, several
from tests.hostile.laying import chain, good

PATCHES = np.zeros((4, 16, 16, 3), np.uint8)
STRANGE_FILTER = 32015  # registered, and not among ours: HDF5 would look for a shared library


class Evil:
    """What a pickle can do: run this."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("evil-was-here",)


def _elsewhere(place: Place) -> Path:
    path = place.outside / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = PATCHES
        file["g/x"] = PATCHES
    return path


def _virtual(file: h5py.File, place: Place) -> None:
    layout = h5py.VirtualLayout(PATCHES.shape, "u1")
    layout[:] = h5py.VirtualSource(str(_elsewhere(place)), "x", PATCHES.shape)
    file.create_virtual_dataset("x", layout)


def _plugin(file: h5py.File, place: Place) -> None:
    # the folder that HDF5_PLUGIN_PATH names for the whole run is this kind of folder
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk(PATCHES.shape)
    made.set_filter(STRANGE_FILTER, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple(PATCHES.shape)
    data = h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT8, space, made)
    data.write_direct_chunk((0, 0, 0, 0), PATCHES.tobytes())


def _external(file: h5py.File, place: Place) -> None:
    file.create_dataset("x", PATCHES.shape, "u1", external=[(str(place.secret), 0, h5py.h5f.UNLIMITED)])


def _links(target: str) -> Callable[[h5py.File, Place], None]:
    def make(file: h5py.File, place: Place) -> None:
        file["x"] = h5py.ExternalLink(str(_elsewhere(place)), target)

    return make


def _through_group(file: h5py.File, place: Place) -> None:
    file["deep"] = h5py.ExternalLink(str(_elsewhere(place)), "/g")


def _two_links(file: h5py.File, place: Place) -> None:
    file["away"] = h5py.ExternalLink(str(_elsewhere(place)), "/x")
    file["x"] = h5py.SoftLink("/away")


def _chunk(file: h5py.File, place: Place) -> None:
    data = file.create_dataset("x", (1 << 31, 1, 1), "u1", chunks=(1 << 31, 1, 1))
    data.id.write_direct_chunk((0, 0, 0), bytes(1 << 22))


def _heap(file: h5py.File, place: Place) -> None:
    file["x"] = PATCHES
    file["y"] = ["label"] * len(PATCHES)


HDF5: dict[str, tuple[Callable[[h5py.File, Place], None], str]] = {
    "external link": (_links("/x"), "not followed"),
    "external group": (_through_group, "not followed"),
    "soft link to an external one": (_two_links, "not followed"),
    "external storage": (_external, "another file"),
    "virtual": (_virtual, "virtual"),
    "filter plugin": (_plugin, "filter 32015"),
    "terabyte": (lambda f, _: f.create_dataset("x", (1 << 30, 16, 16, 3), "u1", chunks=(1, 16, 16, 3)), "declares"),
    "rows of nothing": (lambda f, _: f.create_dataset("x", (1 << 60, 0, 3), "u1"), "declares"),
    "rows never written": (lambda f, _: f.create_dataset("x", (1 << 25, 1, 1), "u1"), "declares"),
    "one large chunk": (_chunk, "chunks"),
    "objects": (lambda f, _: f.create_dataset("x", (4,), h5py.vlen_dtype(np.uint8)), "neither numbers nor text"),
    "references": (lambda f, _: f.create_dataset("x", (4,), h5py.ref_dtype), "neither numbers nor text"),
    "records": (lambda f, _: f.create_dataset("x", (4,), np.dtype([("a", "u1")])), "neither numbers nor text"),
}


@several(65, {name: said for name, (_, said) in HDF5.items()}, list(HDF5))
def hdf5(place: Place, name: str) -> Deed:
    make, _ = HDF5[name]
    path = place.inside / "x.h5"
    with h5py.File(path, "w") as file:
        make(file, place)
    return chain(place, {"kind": "hdf5", "path": path, "y": None, "x": "deep/x" if name == "external group" else "x"})


@case(66, "has no dataset")
def hdf5_path_that_climbs(place: Place) -> Deed:
    with h5py.File(place.inside / "x.h5", "w") as file:
        file["x"] = PATCHES
    return chain(place, {"kind": "hdf5", "path": place.inside / "x.h5", "x": "a/../x", "y": None})


@case(65, "does not come to an end")
def hdf5_heap_that_never_ends(place: Place) -> Deed:
    path = place.inside / "x.h5"
    with h5py.File(path, "w") as file:
        _heap(file, place)
    raw = bytearray(path.read_bytes())
    size = raw.index(b"GCOL") + 24
    raw[size : size + 8] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(raw)

    def deed() -> None:
        from data.files import hdf5_texts
        from data.readers.hdf5 import Hdf5

        usual, hdf5_texts.SECONDS = hdf5_texts.SECONDS, 1
        try:
            list(Hdf5(path=path).records())
        finally:
            hdf5_texts.SECONDS = usual

    return deed


@case(65, "is refused")
def store_that_points_elsewhere(place: Place) -> Deed:
    """A patch store whose pixels are said to lie in another file."""
    from data.patches.record import Record
    from data.store.writer import writing_store

    path = place.inside / "patches.h5"
    with writing_store(path, "rgb8", 16) as writer:
        writer.add(1, Record("1", "A"), "main", "split", (1, 1), PATCHES[0])
        writer.classes = ("A",)
    with h5py.File(path, "a") as file:
        del file["bytes"]
        file["bytes"] = h5py.ExternalLink(str(_elsewhere(place)), "/x")
    return chain(place, {"kind": "store", "path": path})


def _npy(header: bytes, body: bytes = b"") -> bytes:
    padded = header + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded + body


def _plain(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=array.dtype.hasobject)
    return out.getvalue()


NPZ: dict[str, tuple[dict[str, bytes], str]] = {
    "pickled array": ({"train_images": _plain(np.array([Evil()] * 3, dtype=object))}, "pickled"),
    "pickled labels": (
        {"train_images": _plain(PATCHES), "train_labels": _plain(np.array([Evil()] * 4, dtype=object))}, "pickled"),
    "code in a header": ({"train_images": _npy(b"__import__('os').mkdir('evil-was-here')")}, "is refused"),
    "shape of a petabyte": (
        {"train_images": _npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1125899906842624, 1, 1), }")},
        "declares"),
    "header of gigabytes": (
        {"train_images": b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 26) + bytes(1 << 26)}, "is refused"),
    "rows of nothing": (
        {"train_images": _npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1152921504606846976, 0, 3), }")},
        "no array of patches"),
    "zeros": ({"train_images": _npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (131072, 16, 16), }",
                                    bytes(32 << 20))}, "declares"),
}  # fmt: skip


@several(65, {name: said for name, (_, said) in NPZ.items()}, list(NPZ))
def npz(place: Place, name: str) -> Deed:
    members, _ = NPZ[name]
    with zipfile.ZipFile(place.inside / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(f"{member}.npy", content)
    return chain(place, {"kind": "npz", "path": place.inside / "m.npz"})


@case(66, "holds none of")
def npz_with_members_that_climb(place: Place) -> Deed:
    """Members are read and never unpacked: a name that climbs, or a link, is a name that nobody asks for."""
    with zipfile.ZipFile(place.inside / "m.npz", "w") as archive:
        archive.writestr("../../outside/evil.npy", _plain(PATCHES))
        archive.writestr("/evil.npy", _plain(PATCHES))
        link = zipfile.ZipInfo("link.npy")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(place.secret))
    return chain(place, {"kind": "npz", "path": place.inside / "m.npz"})


@case(65, "holds an array twice")
def npz_with_a_member_twice(place: Place) -> Deed:
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(place.inside / "m.npz", "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("train_images.npy", _plain(PATCHES))
    return chain(place, {"kind": "npz", "path": place.inside / "m.npz"})


@case(65, "names ../outside|lies outside")
def parquet_with_a_pickled_type(place: Place) -> Deed:
    """PyArrow once unpickled the type of a column from the file's metadata (CVE-2023-47248)."""
    good(place.inside / "src")
    field = pa.field("path", pa.string(), metadata={
        b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickle.dumps(Evil()),
    })  # fmt: skip
    table = pa.table([pa.array(["src/A/good0.png", "../outside/secret"])], schema=pa.schema([field]))
    pq.write_table(table, place.inside / "m.parquet")
    return chain(place, {"kind": "manifest", "path": place.inside / "m.parquet"})


@several(
    65, {"a text in every row": "has 4,194,304 characters", "one text": "declares"}, ["a text in every row", "one text"]
)
def parquet_that_unfolds(place: Place, name: str) -> Deed:
    good(place.inside / "src")
    rows, length = (60_000, 4 << 20) if name == "a text in every row" else (2, 64 << 20)
    label = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * length]))
    table = pa.table({"path": ["src/A/good0.png"] * rows, "label": label})
    pq.write_table(table, place.inside / "m.parquet", compression="zstd")
    return chain(place, {"kind": "manifest", "path": place.inside / "m.parquet"})
