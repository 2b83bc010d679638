"""The contract: laws that hold for every reader found in the folder, those added later too."""

import json
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from pydantic import TypeAdapter

from data.errors import ChainError
from data.ingest import ingest
from data.patches.given import GIVEN
from data.pixels.bad_patch import BadPatch
from data.pixels.decode import decode
from data.readers import READERS, SourceConfig
from data.readers.base import Reader
from tests.fake_preparation import prepared_in


@pytest.fixture
def examples(tmp_path, folder, encode, patch, config):
    """Of each kind the keys of a small, sound source. A reader that works without any keys needs no line here."""
    (folder / "notes.csv").write_text("passed over")
    (tmp_path / "m.csv").write_text("path,label\npatches/A/p0_0.jpg,A\npatches/B/p0_0.jpg,\n")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.stack([patch(i) for i in range(5)])
        file["y"] = np.arange(5).reshape(5, 1, 1, 1) % 2
    arrays = {f"{s}_images": np.stack([patch(i) for i in range(4)]) for s in ("train", "val", "test")}
    labels = {f"{s}_labels": np.arange(4).reshape(4, 1) % 2 for s in ("train", "val", "test")}
    np.savez_compressed(tmp_path / "m.npz", **arrays, **labels)
    ingest(config({"kind": "folder", "path": folder}), tmp_path / "patches.h5", tmp_path / "q.csv")
    return {
        "folder": {"path": folder},
        "tree": {"path": folder},
        "manifest": {"path": tmp_path / "m.csv"},
        "hdf5": {"path": tmp_path / "x.h5"},
        "npz": {"path": tmp_path / "m.npz"},
        "store": {"path": tmp_path / "patches.h5"},
        "prepared": {"path": prepared_in(tmp_path)},
        "synthetic": {"patients": 2, "patches_per_patient": 6, "size_px": 16},
    }


def _source(kind, keys) -> Reader:
    return TypeAdapter(SourceConfig).validate_json(json.dumps({"kind": kind, **keys}, default=str))


@pytest.mark.parametrize("kind", READERS)
def test_a_reader_lists_the_same_records_in_the_same_order_every_time(kind, examples):
    one, other = (_source(kind, examples.get(kind, {})) for _ in range(2))
    records = list(one.records())
    assert records
    assert records == list(one.records()) == list(other.records())


@pytest.mark.parametrize("kind", READERS)
def test_keys_are_unique_and_splits_are_known(kind, examples):
    records = list(_source(kind, examples.get(kind, {})).records())
    assert len({record.key for record in records}) == len(records)
    assert all(record.key and record.split in GIVEN for record in records)


@pytest.mark.parametrize("kind", READERS)
def test_content_is_the_same_from_many_threads_and_in_any_order(kind, examples):
    listed = _source(kind, examples.get(kind, {}))
    records = list(listed.records())[:40]
    fresh = _source(kind, examples.get(kind, {}))

    def pixels(reader, record):
        content = reader.content(record)
        return decode(content).pixels if isinstance(content, bytes) else content

    alone = [pixels(listed, record) for record in records]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda record: pixels(fresh, record), records[::-1]))[::-1]
    for one, other in zip(alone, together, strict=True):
        assert one.dtype in (np.uint8, np.uint16)
        assert np.array_equal(one, other)


@pytest.mark.parametrize("kind", READERS)
def test_a_reader_survives_its_own_json(kind, examples):
    source = _source(kind, examples.get(kind, {}))
    assert TypeAdapter(SourceConfig).validate_json(source.model_dump_json()) == source


@pytest.mark.parametrize("kind", [kind for kind, reader in READERS.items() if "path" in reader.model_fields])
def test_a_missing_path_is_code_66_and_named(kind, tmp_path):
    with pytest.raises(ChainError, match="nowhere") as caught:
        list(_source(kind, {"path": tmp_path / "nowhere"}).records())
    assert caught.value.code == 66


@pytest.mark.parametrize("kind", ["hdf5", "npz", "store"])
def test_a_file_cut_in_half_is_refused_by_name(kind, examples):
    path = examples[kind]["path"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ChainError, match="is truncated or not") as caught:
        list(_source(kind, examples[kind]).records())
    assert caught.value.code == 65
    assert path.name in caught.value.what


def test_files_that_are_no_images_are_listed_and_refused(folder):
    (folder / "A" / "slide.svs").write_bytes(b"x")
    reader = _source("folder", {"path": folder})
    (record,) = [r for r in reader.records() if r.key.endswith(".svs")]
    assert record.label == ""
    with pytest.raises(BadPatch, match="not an image file"):
        reader.content(record)
