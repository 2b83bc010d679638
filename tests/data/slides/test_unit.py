"""One slide to a store: what is in it, what is lost with a damaged tile, and that threads change nothing."""

import csv
import json
import math

import cv2
import h5py
import numpy as np
import pytest

from data.errors import ChainError, ExitCode
from data.pixels.bad_patch import BadPatch
from data.preparation import Refusal
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels
from data.wsi.plan import plan_reading
from data.wsi.reading import SlideReader
from data.wsi.slide import inspect
from tests.data.wsi.tiny_tiff import picture, write_tiff

SIDE = 640


@pytest.fixture
def slide(tmp_path):
    """(path, level 0, places of its tiles): 640 px at 0.5 um/px, tiles of 64 px, a second level."""
    path, level0 = tmp_path / "a.tif", picture(SIDE, SIDE)
    tiles = write_tiff(path, [level0, cv2.resize(level0, (160, 160), interpolation=cv2.INTER_AREA)], 0.5)
    return path, level0, tiles


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def keys(store):
    return [store.key(row) for row in range(len(store))]


def damage(path, tiles, numbers):
    whole = bytearray(path.read_bytes())
    for number in numbers:
        at, length = tiles[number]
        whole[at : at + length] = bytes(length)
    path.write_bytes(whole)


def test_a_grid_of_patches_with_their_places_and_qualities(slide, slides_config, prepared):
    path, _, _ = slide
    out, facts = prepared(slides_config(path))
    assert set(files(out)) == {"patches.h5", "quarantine.csv", "thumbnail.jpg"}
    store = PatchStore(out / "patches.h5")
    assert len(store) == facts["patches"] == 100
    assert facts["quarantined"] == 0
    assert facts["slide_mpp"] == facts["mpp"] == 0.5
    assert facts["tissue_mm2"] == pytest.approx((SIDE * 0.5 / 1000) ** 2, abs=1e-4)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert set(store.numbers) == {"x_px", "y_px", "side_px", "mpp", "tissue", "sharpness", "stain_h", "stain_e"}
    assert (store.numbers["side_px"] == 64).all()
    reader = SlideReader(path, plan_reading(inspect(path), 0.5, 64), fast=False)
    for row in range(len(store)):
        x, y = (int(store.numbers[name][row]) for name in ("x_px", "y_px"))
        assert store.key(row) == f"x{x:06d}_y{y:06d}"
        assert np.array_equal(store.pixels(row), reader.patch(x, y)), "a slide's own tiles are stored as they are"
    table = store.table()
    assert list(table.slide.names) == ["a"]


@pytest.mark.parametrize("encoding", ["jpeg", "raw", "reference"])
@pytest.mark.parametrize(("mpp", "size"), [(0.5, 64), (0.5, 50), (0.93, 48)])
def test_threads_change_no_byte(slide, slides_config, prepared, encoding, mpp, size):
    path, _, tiles = slide
    damage(path, tiles, [33])
    config = slides_config(path, encoding=encoding, mpp=mpp, size_px=size, quarantine_limit=0.1)
    one, facts_one = prepared(config, 1, "one")
    five, facts_five = prepared(config, 5, "five")
    assert files(one) == files(five)
    assert facts_one == facts_five


@pytest.mark.parametrize("encoding", ["jpeg", "raw", "reference"])
def test_what_is_stored_is_what_was_read(slide, slides_config, prepared, encoding):
    path, _, _ = slide
    out, _ = prepared(slides_config(path, encoding=encoding, mpp=0.93, size_px=48))
    store = PatchStore(out / "patches.h5")
    reader = SlideReader(path, plan_reading(inspect(path), 0.93, 48))
    for row in range(0, len(store), 5):
        x, y = (int(store.numbers[name][row]) for name in ("x_px", "y_px"))
        difference = np.abs(store.pixels(row).astype(int) - reader.patch(x, y)).mean()
        assert difference <= (4 if encoding == "jpeg" else 0)


def test_a_reference_into_a_slide_that_changed_is_found_by_its_digest(slide, slides_config, prepared):
    path, level0, _ = slide
    out, _ = prepared(slides_config(path, encoding="reference"))
    write_tiff(path, [255 - level0], 0.5)
    with pytest.raises(ChainError) as caught:
        PatchStore(out / "patches.h5").pixels(3)
    assert caught.value.code == ExitCode.MISMATCH


def test_a_chain_takes_nothing_from_another_slide_put_in_its_place(slide, slides_config, prepared):
    """The store of a unit knows what was read; the reference that a chain is given must, too."""
    path, level0, _ = slide
    out, _ = prepared(slides_config(path, encoding="reference"))
    reference = PatchStore(out / "patches.h5").content(3)
    assert np.array_equal(reference.pixels(), PatchStore(out / "patches.h5").pixels(3))
    write_tiff(path, [255 - level0], 0.5)
    with pytest.raises(BadPatch, match="its slide has changed"):
        reference.pixels()


def test_a_damaged_zone_loses_only_the_damaged_tiles(slide, slides_config, prepared):
    path, _, tiles = slide
    config = slides_config(path, quarantine_limit=0.1)
    whole, _ = prepared(config, 2, "whole")
    damage(path, tiles, [12, 13, 47])
    out, facts = prepared(config, 2, "damaged")
    assert facts["quarantined"] == 3
    assert facts["patches"] == 97
    with (out / "quarantine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lost = {f"x{number % 10 * 64:06d}_y{number // 10 * 64:06d}" for number in (12, 13, 47)}
    assert {row["key"] for row in rows} == lost
    assert all(row["reason"] for row in rows)
    before, after = PatchStore(whole / "patches.h5"), PatchStore(out / "patches.h5")
    row_of = {key: row for row, key in enumerate(keys(before))}
    assert set(row_of) - set(keys(after)) == lost
    for row, key in enumerate(keys(after)):
        assert before.content(row_of[key]) == after.content(row), "the rest is identical"


@pytest.mark.parametrize("vendor_route", [True, False])
def test_damage_in_the_only_level_costs_its_tiles_not_its_neighbours(
    tmp_path, slides_config, prepared, vendor_route, monkeypatch
):
    """The thumbnail is then made of the damaged level: what it cannot show is tried all the same."""
    if not vendor_route:
        monkeypatch.setattr("data.wsi.reading.open_tiled_jpeg", lambda *a: None)
    path = tmp_path / "a.tif"
    tiles = write_tiff(path, [np.full((640, 640, 3), (190, 110, 160), np.uint8)], 0.5)
    damage(path, tiles, [45])
    tissue = {"thumbnail_mpp": 4.0, "min_area_mm2": 0.0}
    _, facts = prepared(slides_config(path, quarantine_limit=0.1, tissue=tissue))
    assert facts["route"] == ("tiles" if vendor_route else "openslide")
    assert (facts["patches"], facts["quarantined"]) == (99, 1)
    assert facts["thumbnail_unread"] > 0


def test_over_the_quarantine_limit_the_slide_fails_and_the_table_is_left(slide, slides_config, prepared, tmp_path):
    path, _, tiles = slide
    damage(path, tiles, range(10))
    with pytest.raises(ChainError, match=r"10 of its 100 patches") as caught:
        prepared(slides_config(path, quarantine_limit=0.09))
    assert caught.value.code == ExitCode.BAD_DATA
    assert "prepare.quarantine_limit" in caught.value.what
    assert len((tmp_path / "unit" / "quarantine.csv").read_text().splitlines()) == 11
    assert not (tmp_path / "unit" / "patches.h5").exists()


@pytest.mark.parametrize(
    ("pixels", "keys", "why"),
    [
        (np.full((640, 640, 3), 243, np.uint8), {"tissue": {}}, "no patch has enough tissue: 0.00% of the slide"),
        (picture(640, 50), {}, "it has 640 x 50 px, and a patch takes 64 of them"),
        (picture(640, 640), {"quality": {"keep": {"sharpness": {"min": 1e9}}}}, "quality.keep leaves out every one"),
        (picture(640, 640), {"annotations": {"outside": "drop", "missing": "outside"}}, "annotations.outside or"),
    ],
)
def test_a_slide_of_which_nothing_is_wanted_is_done_and_says_why(tmp_path, slides_config, prepared, pixels, keys, why):
    write_tiff(tmp_path / "glass.tif", [pixels], 0.5)
    (tmp_path / "notes").mkdir()
    if "annotations" in keys:
        keys["annotations"]["path"] = tmp_path / "notes"
    out, facts = prepared(slides_config(tmp_path / "glass.tif", **keys))
    assert (facts["patches"], facts["quarantined"]) == (0, 0)
    assert facts["empty"].startswith(why)
    assert set(files(out)) == {"quarantine.csv", "thumbnail.jpg"}


def test_a_filter_leaves_patches_out_and_says_how_many(slide, slides_config, prepared):
    path, _, _ = slide
    out, all_of_them = prepared(slides_config(path), name="all")
    sharp = PatchStore(out / "patches.h5").numbers["sharpness"]
    least = float(np.median(sharp))
    _, facts = prepared(slides_config(path, quality={"keep": {"sharpness": {"min": least}}}), name="some")
    assert facts["patches"] == (sharp >= least).sum()
    assert facts["patches"] + facts["left_out"]["sharpness"] == all_of_them["patches"]


def test_labels_come_from_regions_and_the_table(slide, slides_config, prepared, tmp_path):
    path, _, _ = slide
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.csv").write_text("x,y,width,height,label\n0,0,320,640,tumour\n320,0,64,64,stroma\n")
    out, facts = prepared(slides_config(path, annotations={"path": tmp_path / "notes"}), name="regions")
    assert facts["labels"] == {"stroma": 1, "tumour": 50}
    assert facts["unlabelled"] == 49
    store = PatchStore(out / "patches.h5")
    assert store.classes == ("stroma", "tumour")
    table = tmp_path / "slides.csv"
    table.write_text("file,patient,site,label,split,mpp\na.tif,p7,leiden,tumour,test,0.25\n")
    out, facts = prepared(slides_config(path, table=table), name="table")
    assert facts["labels"] == {"tumour": facts["patches"]}
    assert facts["mpp_from"] == "table"
    assert facts["slide_mpp"] == 0.25
    store = PatchStore(out / "patches.h5")
    assert list(store.table().patient.names) == ["p7"]
    assert list(store.table().site.names) == ["leiden"]
    assert list(read_source_labels(store.path).split.names) == ["test"]


@pytest.mark.parametrize("mpp", [None, 1.0])
def test_patches_that_clam_has_cut_are_read_where_it_cut_them(slide, slides_config, prepared, tmp_path, mpp):
    path, level0, _ = slide
    (tmp_path / "coords").mkdir()
    xy = np.array([[3, 5], [131, 5], [3, 133], [512, 512]])
    with h5py.File(tmp_path / "coords" / "a.h5", "w") as file:
        data = file.create_dataset("coords", data=xy)
        data.attrs.update(patch_size=128, patch_level=0, downsample=[1.0, 1.0], level_dim=[SIDE, SIDE])
    out, facts = prepared(slides_config(path, coordinates={"path": tmp_path / "coords"}, mpp=mpp, encoding="raw"))
    assert facts["coordinates"]["tool"] == "clam"
    assert facts["mpp"] == 1.0
    store = PatchStore(out / "patches.h5")
    assert sorted(keys(store)) == sorted(f"x{x:06d}_y{y:06d}" for x, y in xy)
    for row in range(len(store)):
        x, y = (int(store.numbers[name][row]) for name in ("x_px", "y_px"))
        exact = level0[y : y + 128, x : x + 128].reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        assert np.abs(store.pixels(row) - exact).mean() < 3
    refused = slides_config(path, coordinates={"path": tmp_path / "coords"}, mpp=0.5).units(b"")[0]
    assert isinstance(refused, Refusal)
    assert "prepare.mpp asks for 0.5" in refused.error.why


def test_overlap_and_fractional_steps_do_not_drift(slide, slides_config, prepared):
    path, _, _ = slide
    out, _ = prepared(slides_config(path, mpp=0.77, size_px=40, grid={"overlap_px": 13}))
    x = np.unique(PatchStore(out / "patches.h5").numbers["x_px"])
    step = (40 - 13) * 0.77 / 0.5
    assert np.abs(x - np.arange(len(x)) * step).max() <= 0.5
    assert x[-1] + math.ceil(40 * 0.77 / 0.5) <= SIDE


def test_units_name_refusals_and_go_on(tmp_path, slides_config):
    folder = tmp_path / "slides"
    folder.mkdir()
    write_tiff(folder / "good.tif", [picture(256, 256)], 0.5)
    write_tiff(folder / "no mpp.tif", [picture(256, 256)], None)
    write_tiff(folder / "coarse.tif", [picture(256, 256)], 2.0)
    (folder / "broken.svs").write_bytes(b"nothing")
    found = slides_config(folder).units(b"")
    assert [one.shown for one in found] == ["broken.svs", "coarse.tif", "good.tif", "no mpp.tif"]
    refused = {one.shown: one.error.code for one in found if isinstance(one, Refusal)}
    assert refused == {"broken.svs": 65, "coarse.tif": 78, "no mpp.tif": 65}
    assert all(one.error.what.startswith(one.shown) for one in found if isinstance(one, Refusal))
