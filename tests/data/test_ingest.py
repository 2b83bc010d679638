import csv
import hashlib
import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.errors import ChainError
from data.ingest import ingest, listing_sha256, survey
from data.patches.ids import patch_id
from data.patches.listing import Listing
from data.patches.record import Record
from data.pixels.decode import pixel_digest
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels
from data.store.writer import writing_store


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def _ingest(config, out):
    return ingest(config, out / "patches.h5", out / "quarantine.csv"), PatchStore(out / "patches.h5")


def _quarantine(out):
    with (out / "quarantine.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def test_every_patch_is_stored_with_its_label_and_place(folder, out, config):
    result, store = _ingest(config({"kind": "folder", "path": folder, "patient_pattern": "(p[0-9])"}), out)
    assert result.classes == store.classes == ("A", "B")
    labels = read_source_labels(store.path)
    assert [store.key(row)[0] for row in range(8)] == [labels.label[row] for row in range(8)] == list("AAAABBBB")
    assert store.table().patient[2] == "p1"
    assert int(store.ids[0]) == patch_id("main", "A/p0_0.jpg")
    assert result.sources["main"].stored == 8


def test_a_truncated_jpeg_among_good_ones_is_quarantined_and_the_rest_stored(folder, out, config):
    _truncate(folder / "A" / "p1_1.jpg")
    result, store = _ingest(config({"kind": "folder", "path": folder}, quarantine_limit=0.2), out)
    assert [store.key(row) for row in range(2)] == ["A/p0_0.jpg", "A/p0_2.jpg"]
    assert len(store) == 7
    ((source, key, reason),) = _quarantine(out)
    assert (source, key) == ("main", "A/p1_1.jpg")
    assert "damaged JPEG" in reason
    assert (result.sources["main"].listed, result.sources["main"].quarantined) == (8, 1)


@pytest.mark.parametrize("order", ["<i2", ">i2"])
@pytest.mark.parametrize("kind", ["hdf5", "npz"])
@pytest.mark.parametrize("slices", [(), (1,), (5,)])
def test_int16_arrays_are_patches_in_hu(out, config, kind, slices, order):
    hu = np.random.default_rng(0).integers(-1024, 3000, (6, 16, 16, *slices)).astype(order)
    path = out / f"x.{kind}"
    if kind == "npz":
        np.savez(path, train_images=hu, train_labels=np.arange(6) % 2)
    else:
        with h5py.File(path, "w") as file:
            file["x"], file["y"] = hu, np.arange(6) % 2
    depth = slices[0] if slices else 1
    keys = {"size_px": 16, "mode": "hu16", "windows": ["lung"]}
    result, store = _ingest(config({"kind": kind, "path": path}, depth=depth, **keys), out)
    assert (store.mode, store.depth, result.classes) == ("hu16", depth, ("0", "1"))
    for row in range(6):
        assert np.array_equal(store.pixels(row), hu[row].reshape(16, 16, depth))
    with pytest.raises(ChainError, match="no patch could be used") as caught:
        _ingest(config({"kind": kind, "path": path}, depth=9, quarantine_limit=1.0, **keys), out)
    assert f"{depth} slices, the store holds 9: set data.depth: {depth}" in caught.value.why


def test_what_is_quarantined_leaves_no_trace_in_the_store(folder, out, config):
    # the first patch, and so the first of its patient
    section = config({"kind": "folder", "path": folder, "patient_pattern": "(p[0-9])"}, quarantine_limit=0.2)
    _truncate(folder / "A" / "p0_0.jpg")
    _ingest(section, out)
    beside_a_bad_one = (out / "patches.h5").read_bytes()
    (folder / "A" / "p0_0.jpg").unlink()
    _ingest(section, out)
    assert (out / "patches.h5").read_bytes() == beside_a_bad_one


def test_a_number_that_no_patch_has_is_no_column(out, config):
    def ingested(name, first):
        (out / name).mkdir()
        with writing_store(out / name / "p.h5", "rgb8", 8) as writer:
            for row, tissue in enumerate((first, math.nan)):
                pixels = np.full((8, 8, 3), row, np.uint8)
                numbers = {"tissue": tissue, "mpp": 0.5}
                writer.add(row, Record(f"{row}", numbers=numbers), "s", "split", pixel_digest(pixels, "rgb8"), pixels)
        assert set(PatchStore(out / name / "p.h5").numbers) == {"tissue", "mpp"}
        section = config({"kind": "store", "path": out / name / "p.h5"}, size_px=8, classes=["A", "B"])
        ingest(section, out / name / "patches.h5", out / name / "q.csv")
        return set(PatchStore(out / name / "patches.h5").numbers)

    assert ingested("known", 0.25) == {"tissue", "mpp"}
    assert ingested("unknown", math.nan) == {"mpp"}


def test_over_the_limit_nothing_is_written_but_the_table(folder, out, config):
    _truncate(folder / "A" / "p1_1.jpg")
    with pytest.raises(ChainError) as caught:
        _ingest(config({"kind": "folder", "path": folder}), out)
    assert caught.value.code == 65
    assert "1 of 8 patches (12.500%)" in caught.value.what
    assert "A/p1_1.jpg: damaged JPEG" in caught.value.why
    assert [path.name for path in out.iterdir()] == ["quarantine.csv"]
    assert len(_quarantine(out)) == 1


def test_two_ingests_give_the_same_bytes(folder, out, config, monkeypatch):
    sources = {"kind": "folder", "path": folder}, {"kind": "tree", "name": "pool", "path": folder}
    _truncate(folder / "A" / "p1_1.jpg")
    _ingest(config(*sources, quarantine_limit=0.5), out)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr("data.ingest.CHUNK", 1)
    monkeypatch.setattr("data.ingest.cores", lambda: 7)
    _ingest(config(*sources, quarantine_limit=0.5), out)
    assert first == {path.name: path.read_bytes() for path in out.iterdir()}


def test_a_survey_says_what_a_store_would_hold_and_writes_nothing(folder, out, config):
    section = config({"kind": "folder", "path": folder})
    result, store = _ingest(section, out)
    seen = survey(section)
    assert np.array_equal(seen.table.ids, store.ids)
    assert np.array_equal(seen.table.pixels, store.table().pixels)
    assert seen.classes == result.classes
    assert seen.sources == result.sources
    assert np.array_equal(seen.labels.label.codes, read_source_labels(store.path).label.codes)
    assert sorted(path.name for path in out.iterdir()) == ["patches.h5", "quarantine.csv"]


def test_a_survey_over_the_limit_fails_as_the_ingest_would(folder, out, config):
    _truncate(folder / "A" / "p1_1.jpg")
    with pytest.raises(ChainError, match="1 of 8"):
        survey(config({"kind": "folder", "path": folder}), out / "quarantine.csv")
    assert len(_quarantine(out)) == 1


def test_patches_that_do_not_fit_are_quarantined_with_the_remedy(folder, out, config, patch, encode):
    (folder / "A" / "large.png").write_bytes(encode(patch(0, 32)))
    (folder / "A" / "grey.png").write_bytes(encode(patch(0, 16, 1)))
    (folder / "A" / "notes.doc").write_bytes(b"x")
    _, store = _ingest(config({"kind": "folder", "path": folder}, quarantine_limit=0.5), out)
    reasons = {key: reason for _, key, reason in _quarantine(out)}
    assert "data.size_px: 32" in reasons["A/large.png"]
    assert "data.mode: grey8" in reasons["A/grey.png"]
    assert reasons["A/notes.doc"] == "not an image file"
    assert len(store) == 8


def test_resizing_stores_every_size(folder, out, config, patch, encode):
    (folder / "A" / "large.png").write_bytes(encode(patch(0, 32)))
    _, store = _ingest(config({"kind": "folder", "path": folder}, resize=True), out)
    row = [store.key(r) for r in range(9)].index("A/large.png")
    oracle = patch(0, 32).reshape(16, 2, 16, 2, 3).mean((1, 3))
    assert np.abs(store.pixels(row) - oracle).max() <= 0.5


def test_keep_keeps_jpeg_bytes_and_raw_stores_the_same_pixels(folder, out, config):
    _, kept = _ingest(config({"kind": "folder", "path": folder}), out)
    (out / "raw").mkdir()
    _, raw = _ingest(config({"kind": "folder", "path": folder}, encoding="raw"), out / "raw")
    assert kept.content(0) == (folder / "A" / "p0_0.jpg").read_bytes()
    assert isinstance(raw.content(0), np.ndarray)
    assert all(np.array_equal(kept.pixels(row), raw.pixels(row)) for row in range(8))
    assert np.array_equal(kept.table().pixels, raw.table().pixels)


def test_16_bit_grey_png_survives_exactly(tmp_path, out, config, patch, encode):
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "1.png").write_bytes(encode(patch(0, 16, 1, "u2")))
    _, store = _ingest(config({"kind": "tree", "path": tmp_path / "ct"}, mode="grey16"), out)
    assert np.array_equal(store.pixels(0), patch(0, 16, 1, "u2"))


def test_a_class_of_which_nothing_can_be_used_is_not_lost_unseen(folder, out, config):
    for path in (folder / "A").iterdir():
        _truncate(path)
    for make in (lambda one: _ingest(one, out), survey):
        with pytest.raises(ChainError, match=r"not one of the 4 patches of class A can be used") as caught:
            make(config({"kind": "folder", "path": folder}, quarantine_limit=0.5))
        assert "A/p0_0.jpg: damaged JPEG" in caught.value.why
    assert len(_quarantine(out)) == 4
    assert not (out / "patches.h5").exists()


def test_classes_that_only_blanks_tell_apart_stop_before_decoding(folder, out, config, monkeypatch):
    (folder / "B").rename(folder / "A ")
    monkeypatch.setattr("data.ingest.decode", lambda content: pytest.fail("nothing is decoded"))
    for classes in (None, ["A", "A "]):
        with pytest.raises(ChainError, match=r"'A' and 'A ' differ in blanks"):
            _ingest(config({"kind": "folder", "path": folder}, classes=classes), out)


def test_classes_keep_their_order_and_strange_labels_stop_before_decoding(folder, out, config):
    result, _ = _ingest(config({"kind": "folder", "path": folder}, classes=["B", "A"]), out)
    assert result.classes == ("B", "A")
    with pytest.raises(ChainError, match="has the label 'B'") as caught:
        survey(config({"kind": "folder", "path": folder}, classes=["A", "C"]))
    assert caught.value.code == 78


def test_an_empty_source_is_refused(tmp_path, config):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ChainError, match="lists no patches") as caught:
        survey(config({"kind": "tree", "path": tmp_path / "empty"}))
    assert caught.value.code == 66


def test_colliding_ids_are_refused(folder, config, monkeypatch):
    monkeypatch.setattr("data.ingest.patch_id", lambda source, key: len(key))
    with pytest.raises(ChainError, match="has the same id as"):
        survey(config({"kind": "folder", "path": folder}))


def test_a_label_too_long_for_a_name_is_refused_from_any_source(folder, config):
    (folder / "A").rename(folder / ("x" * 201))
    with pytest.raises(ChainError, match="has 201 characters") as caught:
        survey(config({"kind": "folder", "path": folder}))
    assert caught.value.code == 65
    assert len(caught.value.what) < 300


def test_names_with_separators_are_refused(folder, config):
    (folder / "A" / "p0_0.jpg").rename(folder / "A" / "p0\n0.jpg")
    with pytest.raises(ChainError, match="is refused") as caught:
        survey(config({"kind": "folder", "path": folder}))
    assert caught.value.code == 65


def test_the_listing_digest_knows_every_field_and_no_order():
    def digest(*records: Record) -> str:
        return listing_sha256(Listing.of(records), range(len(records)))

    a, b = Record("a", "A"), Record("b", "B")
    assert digest(a, b) == digest(b, a)
    others = [Record("a", "B"), Record("a", "", "A"), Record("a", "A", split="pool"), Record("c", "A")]
    assert len({digest(other, b) for other in [a, *others]}) == 5
    # what runs of every version have on record: lines sorted as bytes, fields apart by a separator
    tabbed = [Record("a", "A", "p", "s", "q", "pool"), Record("a\tb", "B"), Record("\u00e4", "C")]
    lines = sorted("\x1f".join((r.key, r.label, r.patient, r.slide, r.site, r.split)).encode() for r in tabbed)
    assert digest(*tabbed) == hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()


def test_progress_counts_to_the_end(folder, config):
    seen = []
    survey(config({"kind": "folder", "path": folder}), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (8, 8)


def test_a_hopeless_source_stops_early_with_a_table_of_use(folder, out, config, monkeypatch):
    for path in folder.rglob("*.jpg"):
        _truncate(path)
    monkeypatch.setattr("data.ingest.ENOUGH_BAD", 3)
    with pytest.raises(ChainError, match="3 of the first 3 of 8 patches"):
        _ingest(config({"kind": "folder", "path": folder}), out)
    assert len(_quarantine(out)) == 3


def test_sources_cut_at_unlike_resolutions_are_said_by_survey_and_ingest(tmp_path, out, config):
    for name, mpp in (("fine", 0.25), ("coarse", 0.5)):
        with writing_store(tmp_path / f"{name}.h5", "rgb8", 8) as store:
            pixels = np.full((8, 8, 3), int(100 * mpp), np.uint8)
            store.add(1, Record("x", name, numbers={"mpp": mpp}), "s", "split", pixel_digest(pixels, "rgb8"), pixels)
            store.classes = (name,)
    sources = [{"kind": "store", "name": name, "path": tmp_path / f"{name}.h5"} for name in ("fine", "coarse")]
    both = config(*sources, size_px=8)
    (said,) = survey(both).warnings
    assert "source fine at 0.25 um/px and source coarse at 0.5 um/px" in said
    assert _ingest(both, out)[0].warnings == [said]
    assert survey(config(sources[0], size_px=8)).warnings == []
