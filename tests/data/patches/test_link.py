"""A patch that stays in its store is the patch that would have been copied, or a refusal that names file and patch."""

import contextlib
import json
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import ChainError, ExitCode
from data.files.recent import Recent
from data.ingest import ingest, survey
from data.patches import link as module
from data.patches.link import Link, read_link
from data.patches.record import Record
from data.patches.reference import Reference
from data.pixels.bad_patch import BadPatch
from data.pixels.decode import pixel_digest
from data.pixels.modes import DTYPE
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels
from data.store.writer import writing_store
from tests.fake_preparation import prepared_in


@pytest.fixture(autouse=True)
def few(monkeypatch) -> Recent:
    """Two files open at once, none of another test's."""
    recent = Recent(module._opened, 2)
    monkeypatch.setattr(module, "FILES", recent)
    return recent


@pytest.fixture
def units(tmp_path) -> Path:
    """A prepared directory of four units, 14 patches."""
    return prepared_in(tmp_path, a="ok 4", b="ok 3", c="ok 2", d="ok 5")


def _stored(config, source, at, **keys) -> PatchStore:
    at.mkdir()
    ingest(config(source, **{"size_px": 8, **keys}), at / "patches.h5", at / "quarantine.csv")
    return PatchStore(at / "patches.h5")


@pytest.fixture
def linked(config, units, tmp_path) -> PatchStore:
    return _stored(config, {"kind": "prepared", "path": units}, tmp_path / "link", encoding="link")


def refused(do) -> ChainError:
    with pytest.raises(ChainError) as caught:
        do()
    assert len(caught.value.lines()) == 3
    return caught.value


def _unit(store: PatchStore, row: int) -> Path:
    return Path(json.loads(store.content(row).payload)["store"]["path"])


def assert_same(one: PatchStore, other: PatchStore) -> None:
    assert np.array_equal(one.ids, other.ids)
    assert np.array_equal(one.table().pixels, other.table().pixels)
    labels = [read_source_labels(store.path).label for store in (one, other)]
    assert np.array_equal(labels[0].codes, labels[1].codes)
    for row in range(len(one)):
        a, b = one.pixels(row), other.pixels(row)
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)
        assert one.key(row) == other.key(row)


def test_a_prepared_directory_linked_is_the_one_that_is_copied(config, units, linked, tmp_path):
    kept = _stored(config, {"kind": "prepared", "path": units}, tmp_path / "keep")
    assert_same(kept, linked)
    linked.verify()
    for row in range(len(linked)):
        content = linked.content(row)
        assert isinstance(content, Reference)
        assert _unit(linked, row).is_relative_to(units.absolute())
    assert isinstance(kept.content(0), np.ndarray)


def test_a_store_of_jpegs_is_linked_too_and_a_link_to_a_link_is_one_link(config, folder, tmp_path):
    first = _stored(config, {"kind": "folder", "path": folder}, tmp_path / "first", size_px=16, encoding="link")
    assert isinstance(first.content(0), bytes), "a folder is no store: its files are kept"
    source = {"kind": "store", "path": first.path}
    kept = _stored(config, source, tmp_path / "keep", size_px=16)
    linked = _stored(config, source, tmp_path / "link", size_px=16, encoding="link")
    assert_same(kept, linked)
    again = {"kind": "store", "path": linked.path}
    for encoding in ("keep", "link"):
        twice = _stored(config, again, tmp_path / f"twice {encoding}", size_px=16, encoding=encoding)
        assert all(twice.content(row) == linked.content(row) for row in range(len(twice)))
        assert_twice_is_read(twice, linked)
    raw = _stored(config, again, tmp_path / "raw", size_px=16, encoding="raw")
    assert isinstance(raw.content(0), np.ndarray)
    assert_twice_is_read(raw, linked)


def assert_twice_is_read(twice: PatchStore, linked: PatchStore) -> None:
    assert all(np.array_equal(twice.pixels(row), linked.pixels(row)) for row in range(len(twice)))


@pytest.mark.parametrize(("mode", "depth"), [("grey8", 1), ("grey16", 1), ("hu16", 3)])
def test_every_mode_can_be_linked(config, tmp_path, mode, depth):
    pixels = np.random.default_rng(0).integers(0, 200, (5, 8, 8, depth)).astype(DTYPE[mode])
    with writing_store(tmp_path / "p.h5", mode, 8, depth) as writer:
        for i, one in enumerate(pixels):
            writer.add(i + 1, Record(f"k{i}", "AB"[i % 2]), "main", "split", pixel_digest(one, mode), one)
    windows = {"windows": ["lung"]} if mode == "hu16" else {}
    source = {"kind": "store", "path": tmp_path / "p.h5"}
    linked = _stored(config, source, tmp_path / "link", mode=mode, depth=depth, encoding="link", **windows)
    assert isinstance(linked.content(0), Reference)
    for row in range(5):
        assert np.array_equal(linked.pixels(row), pixels[row])
        assert linked.pixels(row).dtype == pixels.dtype


def test_a_resized_patch_is_stored_as_pixels(config, units, tmp_path):
    store = _stored(
        config, {"kind": "prepared", "path": units}, tmp_path / "l", encoding="link", size_px=4, resize=True
    )
    assert isinstance(store.content(0), np.ndarray)


def test_what_check_and_the_ingest_count_is_the_references(config, units, linked):
    seen = survey(config({"kind": "prepared", "path": units}, size_px=8, encoding="link"))
    assert seen.content_bytes == sum(len(linked.content(row).payload) for row in range(len(linked)))


def test_pixels_are_the_callers_own(linked):
    linked.pixels(0)[:] = 0
    assert linked.pixels(0).any()


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_linked_store_survives_another_process(linked, start):
    expected = [linked.pixels(row) for row in range(len(linked))]
    assert len(pickle.dumps(linked)) < 500
    with multiprocessing.get_context(start).Pool(2) as pool:
        found = pool.map(linked.pixels, range(len(linked)))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_process_that_read_ends_in_silence(linked):
    code = f"from data.store.patch_store import PatchStore; print(PatchStore({str(linked.path)!r}).pixels(0).shape)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("(8, 8, 3)\n", "")


def _open_below(folder: Path) -> int:
    """Files of that folder that this process has open; of what else a process of tests has open nothing is known."""
    found = 0
    for link in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own is gone by then
            found += link.readlink().is_relative_to(folder.resolve())
    return found


def test_many_threads_read_from_few_open_files(linked, units, few):
    expected = [linked.pixels(row) for row in range(len(linked))]
    rows = np.random.default_rng(0).integers(0, len(linked), 2000).tolist()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(linked.pixels, rows))
    assert all(np.array_equal(pixels, expected[row]) for row, pixels in zip(rows, found, strict=True))
    assert len(few) == 2
    assert _open_below(units) == 2


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    pixels = PatchStore(path).pixels(0).tobytes()
    content = bytearray(path.read_bytes())
    content[content.index(pixels)] ^= 1
    path.write_bytes(content)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BAD = {
    "gone": (Path.unlink, ExitCode.MISSING, "cannot be opened", "put it back"),
    "its folder gone": (lambda path: shutil.rmtree(path.parent), ExitCode.MISSING, "cannot be opened", "put it back"),
    "cut": (_cut, ExitCode.MISMATCH, "has changed: it has", "put the store back as it was"),
    "a flipped bit": (_flip, ExitCode.MISMATCH, "its store has changed", "put the store back as it was"),
    "no store": (lambda path: path.write_bytes(bytes(path.stat().st_size)), ExitCode.MISMATCH, "no patch store", "put"),
    "a pipe": (_pipe, ExitCode.MISMATCH, "no patch store", "put the store back"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), ExitCode.MISMATCH, "no patch store", "put the store"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_store_that_is_not_there_as_it_was_is_named_with_the_patch(linked, name):
    do, code, why, todo = BAD[name]
    path = _unit(linked, 0)
    do(path)
    error = refused(lambda: PatchStore(linked.path).pixels(0))
    assert error.code == code
    assert error.what.startswith(f"patch {linked.key(0)} cannot be read from its store again")
    assert str(path) in error.what + error.why
    assert why in error.what + error.why
    assert error.todo.startswith(todo)
    assert "rerun RUN --from data/store" in error.todo
    PatchStore(linked.path).pixels(len(linked) - 1)  # what lies elsewhere is none the worse


def test_what_was_put_back_is_read_by_the_same_process(linked):
    path = _unit(linked, 0)
    aside = path.rename(path.with_name("aside"))
    assert refused(lambda: linked.pixels(0)).code == ExitCode.MISSING
    path.write_bytes(b"x" * 9)
    assert refused(lambda: linked.pixels(0)).code == ExitCode.MISMATCH
    aside.replace(path)
    assert np.array_equal(linked.pixels(0), PatchStore(path).pixels(0))


def test_a_damaged_jpeg_is_refused(config, folder, tmp_path):
    first = _stored(config, {"kind": "folder", "path": folder}, tmp_path / "first", size_px=16)
    linked = _stored(config, {"kind": "store", "path": first.path}, tmp_path / "l", size_px=16, encoding="link")
    content = first.content(0)
    whole = bytearray(first.path.read_bytes())
    at = whole.index(content)
    whole[at + len(content) // 2 : at + len(content)] = bytes(len(content) - len(content) // 2)
    first.path.write_bytes(whole)
    error = refused(lambda: linked.pixels(0))
    assert error.code == ExitCode.MISMATCH
    assert str(first.path) in error.why


PLAIN = Link("/units/a/patches.h5", 1000, 300, 492, False, "rgb8", 8, 1)


def _said(link: Link, **changes) -> bytes:
    return json.dumps({"store": {**link._asdict(), **changes}}).encode()


HOSTILE = [
    {"path": "relative.h5"}, {"path": "/nul\0.h5"}, {"path": 3}, {"path": None}, {"file_bytes": -1},
    {"file_bytes": 1 << 70}, {"start": -1}, {"start": 1.5}, {"start": True}, {"stop": 1 << 62}, {"stop": 0},
    {"jpeg": 1}, {"mode": "rgb16"}, {"mode": []}, {"mode": "hu16", "depth": 10**9}, {"depth": 0}, {"depth": 2},
    {"size_px": 0}, {"size_px": 10**6}, {"size_px": "8"}, {"more": 1},
]  # fmt: skip


@pytest.mark.parametrize("changes", HOSTILE, ids=str)
def test_a_reference_that_is_none_is_refused(changes):
    assert refused(lambda: read_link(PLAIN.payload())).code == ExitCode.MISSING, "alone it is a good one"
    error = refused(lambda: read_link(_said(PLAIN, **changes)))
    assert error.code == ExitCode.DAMAGED


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b'{"store": ', b'{"store": 1}', b'{"store": []}', b'{"store": {}}', b'{"store": ' * 100_000]
)
def test_what_is_no_reference_is_refused(payload):
    assert refused(lambda: read_link(payload)).code == ExitCode.DAMAGED
    assert refused(lambda: Reference(payload).pixels()).code == ExitCode.DAMAGED


def test_a_place_of_another_patch_and_a_jpeg_that_is_none_give_no_pixels(linked):
    content = linked.content(0)
    link = Link(**json.loads(content.payload)["store"])
    assert content.digest is not None
    with pytest.raises(BadPatch, match="its store has changed"):
        Reference(_said(link, start=link.start + 1, stop=link.stop + 1), content.digest).pixels()
    for changes in ({"jpeg": True}, {"stop": link.stop - 1}):
        with pytest.raises(BadPatch, match="is damaged there"):
            read_link(_said(link, **changes))
    with pytest.raises(BadPatch, match="is no patch store"):
        read_link(_said(link, path="/etc/passwd"))
    assert refused(lambda: read_link(_said(link, path="/\ud800"))).code == ExitCode.MISSING


def test_a_jpeg_that_declares_gigabytes_is_not_unpacked(tmp_path, patch, encode, monkeypatch):
    large = encode(patch(0, 64), "JPEG")
    (tmp_path / "p.h5").write_bytes(module.HDF5 + large)
    link = Link(str(tmp_path / "p.h5"), 8 + len(large), 8, 8 + len(large), True, "rgb8", 16, 1)
    monkeypatch.setattr(module, "unpacked", None)
    with pytest.raises(BadPatch, match="another size"):
        read_link(link.payload())


@pytest.mark.parametrize(("size", "mode"), [(4, "rgb8"), (8, "grey8")])
def test_patches_of_another_size_or_mode_than_their_store_are_refused(tmp_path, units, size, mode):
    source = PatchStore(units / "units" / "a" / "patches.h5")
    with writing_store(tmp_path / "p.h5", mode, size) as writer:
        writer.add(1, Record("k"), "main", "split", source.reference(0).digest, source.reference(0))
    error = refused(lambda: PatchStore(tmp_path / "p.h5").pixels(0))
    assert error.code == ExitCode.MISMATCH
    assert "(8, 8, 3) uint8 there" in error.why


def test_a_place_is_right_however_the_store_was_opened(units, monkeypatch):
    path = units / "units" / "a" / "patches.h5"
    monkeypatch.chdir(path.parent)
    reference = PatchStore("patches.h5").reference(2)
    said = json.loads(reference.payload)["store"]
    assert said["path"] == str(path)
    with h5py.File(path) as file:
        assert np.array_equal(reference.pixels(), file["bytes"][2 * 192 : 3 * 192].reshape(8, 8, 3))
