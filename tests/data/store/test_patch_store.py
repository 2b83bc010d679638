import io
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ChainError
from data.patches.record import Record
from data.patches.reference import Reference
from data.pixels.decode import pixel_digest
from data.pixels.modes import CHANNELS, DTYPE
from data.readers.store import Store
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels
from data.store.writer import writing_store


def _write(path, patches, mode="rgb8", size_px=16, records=None, depth=1):
    records = records or [Record(f"k{i}", "AB"[i % 2], f"p{i % 3}") for i in range(len(patches))]
    with writing_store(path, mode, size_px, depth) as writer:
        for i, (content, record) in enumerate(zip(patches, records, strict=True)):
            digest = pixel_digest(content, mode) if isinstance(content, np.ndarray) else (i, i)
            writer.add((i * 0x9E3779B97F4A7C15 + 1) % 2**64, record, "main", "split", digest, content)
        writer.classes = ("A", "B")
    return PatchStore(path)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    mode=st.sampled_from(["rgb8", "grey8", "grey16", "hu16"]),
    size=st.integers(1, 9),
    depth=st.integers(1, 5),
    rows=st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=12),
    seed=st.integers(0, 99),
)
def test_what_is_written_is_read(tmp_path_factory, mode, size, depth, rows, seed):
    depth = depth if mode == "hu16" else 1
    shape = (len(rows), size, size, CHANNELS[mode] * depth)
    low, high = np.iinfo(DTYPE[mode]).min, np.iinfo(DTYPE[mode]).max
    pixels = np.random.default_rng(seed).integers(low, high, shape, dtype=DTYPE[mode], endpoint=True)
    records = [Record(f"{i}/{row[0]}", *row, split="pool") for i, row in enumerate(rows)]
    store = _write(tmp_path_factory.mktemp("s") / "patches.h5", list(pixels), mode, size, records, depth)
    assert (len(store), store.mode, store.size_px, store.depth) == (len(rows), mode, size, depth)
    assert store.channels == CHANNELS[mode] * depth
    table, labels = store.table(), read_source_labels(store.path)
    for row, record in enumerate(records):
        assert np.array_equal(store.pixels(row), pixels[row])
        assert store.pixels(row).dtype == DTYPE[mode]
        assert store.key(row) == record.key
        found = (labels.label[row], table.patient[row], table.slide[row], table.site[row], labels.split[row])
        assert found == (record.label, record.patient, record.slide, record.site, "pool")
        assert (table.source[row], labels.part[row]) == ("main", "split")
        assert tuple(map(int, table.pixels[row])) == pixel_digest(pixels[row], mode)


def test_16_bit_grey_survives_exactly(tmp_path):
    pixels = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256, 1)
    assert np.array_equal(_write(tmp_path / "p.h5", list(pixels), "grey16", 256).pixels(0), pixels[0])


def test_numbers_stand_beside_their_patches_and_travel_with_them(tmp_path, patch):
    measured = [{"x_px": 5.0, "tissue": 0.25}, {}, {"x_px": -7.0}]
    records = [Record(f"k{i}", numbers=numbers) for i, numbers in enumerate(measured)]
    store = _write(tmp_path / "p.h5", [patch(i) for i in range(3)], records=records)
    assert list(store.numbers) == ["tissue", "x_px"]
    np.testing.assert_array_equal(store.numbers["x_px"], [5.0, np.nan, -7.0])
    np.testing.assert_array_equal(store.numbers["tissue"], [0.25, np.nan, np.nan])
    again = [record.numbers for record in Store(path=store.path).records()]
    assert again[0] == measured[0]
    assert again[2]["x_px"] == -7.0


def test_a_reference_reads_its_slide_and_refuses_other_pixels(tmp_path, patch, monkeypatch):
    payloads = [b'{"slide": "0.svs"}', b'{"slide": "1.svs"}']
    slide = {payloads[i]: patch(i) for i in range(2)}
    monkeypatch.setattr("data.wsi.reading.read_reference", lambda payload: slide[payload])
    with writing_store(tmp_path / "p.h5", "rgb8", 16) as writer:
        for i in range(2):
            digest = pixel_digest(patch(i), "rgb8")
            writer.add(i + 1, Record(f"k{i}"), "main", "split", digest, Reference(payloads[i]))
    store = PatchStore(tmp_path / "p.h5")
    assert np.array_equal(store.pixels(1), patch(1))
    assert store.content(0) == Reference(payloads[0])
    slide[payloads[1]] = patch(2)
    with pytest.raises(ChainError, match="k1 cannot be read from its slide again") as refused:
        store.pixels(1)
    assert refused.value.code == 78


def test_a_jpeg_keeps_its_bytes_and_its_pixels(tmp_path, patch, encode):
    from PIL import Image

    content = encode(patch(1), "JPEG", quality=80)
    store = _write(tmp_path / "p.h5", [patch(0), content, patch(2)])
    assert np.array_equal(store.pixels(1), np.asarray(Image.open(io.BytesIO(content))))
    assert store.content(1) == content
    assert np.array_equal(store.pixels(2), patch(2))


def test_rows_join_by_id_and_name_what_is_missing(tmp_path, patch):
    store = _write(tmp_path / "p.h5", [patch(i) for i in range(20)])
    order = np.random.default_rng(0).permutation(20)
    assert np.array_equal(store.rows(store.ids[order]), order)
    assert len(store.rows(np.array([], np.uint64))) == 0
    for absent in (0, 2**64 - 1, int(store.ids[3]) + 1):
        with pytest.raises(ChainError, match=f"{absent:016x}") as caught:
            store.rows(np.array([store.ids[0], absent], np.uint64))
        assert caught.value.code == 78


def test_equal_input_gives_equal_bytes_at_any_time(tmp_path, patch, monkeypatch):
    patches = [patch(i) for i in range(5)]
    timed, create = [], h5py.Group.create_dataset

    def spy(self, name, *args, **keys):
        timed.append(keys.get("track_times", True))
        return create(self, name, *args, **keys)

    monkeypatch.setattr(h5py.Group, "create_dataset", spy)
    one, other = (_write(tmp_path / name, patches).path for name in ("a.h5", "b.h5"))
    assert one.read_bytes() == other.read_bytes()
    # both were written within a second, the unit of HDF5's times: so look at what was asked for too
    assert timed
    assert not any(timed)


def test_any_hdf5_program_reads_it(tmp_path, patch):
    path = _write(tmp_path / "p.h5", [patch(i) for i in range(5)]).path
    with h5py.File(path) as file:
        assert file["bytes"].chunks is None
        start, stop = file["offsets"][2:4]
        assert np.array_equal(file["bytes"][start:stop].reshape(16, 16, 3), patch(2))
        assert list(file["source_labels/label/names"].asstr()[:]) == ["A", "B"]


def test_a_pickled_store_is_small_and_opens_elsewhere(tmp_path, patch):
    store = _write(tmp_path / "p.h5", [patch(i) for i in range(50)])
    store.pixels(0)
    travelling = pickle.dumps(store)
    assert len(travelling) < 500
    assert np.array_equal(pickle.loads(travelling).pixels(7), patch(7))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_an_open_store_survives_another_process(tmp_path, patch, start):
    store = _write(tmp_path / "p.h5", [patch(i) for i in range(4)])
    store.pixels(0)
    with multiprocessing.get_context(start).Pool(2) as pool:
        assert all(np.array_equal(a, patch(i)) for i, a in enumerate(pool.map(store.pixels, range(4))))


def test_reading_loads_nothing_into_own_memory(tmp_path, patch):
    store = _write(tmp_path / "p.h5", [patch(i) for i in range(4)])
    arrays = [store.ids, store.table().pixels, store.table().patient.codes]
    assert not any(array.flags.owndata or array.flags.writeable for array in arrays)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux says how much of a file a process maps")
def test_reading_everything_maps_a_bounded_part(tmp_path, patch, monkeypatch):
    monkeypatch.setattr("data.store.patch_store.MAPPED_BYTES", 1 << 20)
    store = _write(tmp_path / "p.h5", [patch(i, 64) for i in range(500)], size_px=64)
    mapped = []
    for _ in range(2):
        for row in range(500):
            store.pixels(row)
        lines = Path("/proc/self/smaps").read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.endswith(str(store.path)))
        mapped.append(int(next(line for line in lines[at:] if line.startswith("Rss:")).split()[1]) << 10)
    assert store.path.stat().st_size > 5 << 20
    assert max(mapped) < 3 << 20


def test_pixels_are_the_callers_own(tmp_path, patch):
    store = _write(tmp_path / "p.h5", [patch(0)])
    store.pixels(0)[:] = 0
    assert np.array_equal(store.pixels(0), patch(0))


def test_a_failed_writer_leaves_what_was_there(tmp_path, patch):
    _write(tmp_path / "p.h5", [patch(0)])
    before = (tmp_path / "p.h5").read_bytes()

    def fail() -> None:
        with writing_store(tmp_path / "p.h5", "rgb8", 16) as writer:
            writer.add(1, Record("k"), "main", "split", (0, 0), patch(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "p.h5").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.h5"]


@pytest.mark.parametrize(
    "moment", ["data.store.writer._write", "data.store.patch_store.PatchStore.verify", "data.files.atomic.fsync_dir"]
)
def test_a_killed_writer_leaves_nothing_or_a_whole_store(tmp_path, moment):
    name = moment.rpartition(".")[2]
    code = f"""
import os, signal, sys
from pathlib import Path
from unittest import mock
import numpy as np
from data.patches.record import Record
from data.readers.store import Store
from data.patches.reference import Reference
from data.store.writer import writing_store
with mock.patch({moment!r}, lambda *a: os.kill(os.getpid(), signal.SIGKILL)):
    with writing_store(Path(sys.argv[1]), "rgb8", 16) as writer:
        writer.add(1, Record("k"), "main", "split", (0, 0), np.zeros((16, 16, 3), np.uint8))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "p.h5")], check=False)
    assert done.returncode == -9
    if name == "fsync_dir":  # renamed already
        PatchStore(tmp_path / "p.h5").verify()
    else:
        assert not (tmp_path / "p.h5").exists()


def test_what_is_read_back_wrong_is_never_renamed(tmp_path, patch, monkeypatch):
    import data.store.writer as module

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[content.find(patch(0).tobytes()) + 5] ^= 1
        path.write_bytes(content)

    monkeypatch.setattr(module, "_drop_from_cache", flip)
    with pytest.raises(ChainError, match="'bytes' is damaged"):
        _write(tmp_path / "p.h5", [patch(0)])
    assert list(tmp_path.iterdir()) == []


def test_every_cut_of_a_store_is_refused_as_damaged(tmp_path, patch):
    path = _write(tmp_path / "p.h5", [patch(i) for i in range(4)]).path
    content = path.read_bytes()
    for share in range(1, 20):
        path.write_bytes(content[: len(content) * share // 20])
        with pytest.raises(ChainError, match=r"p\.h5") as caught:
            len(PatchStore(path))
        assert caught.value.code == 76


def test_a_newer_store_is_refused(tmp_path, patch):
    path = _write(tmp_path / "p.h5", [patch(0)]).path
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 2
    with pytest.raises(ChainError, match="version 2") as caught:
        len(PatchStore(path))
    assert caught.value.code == 78


def test_a_damaged_jpeg_is_named(tmp_path, patch, encode):
    content = encode(patch(1), "JPEG")
    path = _write(tmp_path / "p.h5", [content]).path
    whole = bytearray(path.read_bytes())
    at = whole.find(content)
    whole[at + len(content) // 2 : at + len(content)] = bytes(len(content) - len(content) // 2)
    path.write_bytes(whole)
    with pytest.raises(ChainError, match="patch 0000000000000001 is damaged") as caught:
        PatchStore(path).pixels(0)
    assert caught.value.code == 76
