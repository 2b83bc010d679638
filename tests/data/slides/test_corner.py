"""QuPath counts from the corner of what was scanned, OpenSlide from that of its plane: each region on its tissue."""

import dataclasses
import json
from types import SimpleNamespace

import pytest

from data.errors import ChainError
from data.slides import listing
from data.slides.annotations import AnnotationsConfig, load_annotations
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels
from data.wsi.slide import describe
from tests.data.wsi.tiny_tiff import picture, write_tiff

PLANE = (100_000, 200_000)
SCANNED = (20_000, 60_000, 50_000, 40_000)


def _written(path, *boxes, qupath=True):
    """boxes: (left, top, right, bottom) of class T."""
    said = {"classification": {"name": "T"}} | ({"objectType": "annotation"} if qupath else {})
    features = [
        {"type": "Feature", "properties": said, "geometry": {"type": "Polygon", "coordinates": [
            [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]}}
        for x0, y0, x1, y1 in boxes
    ]  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _loaded(folder, scanned=SCANNED, plane=PLANE):
    return load_annotations(AnnotationsConfig(path=folder), "s.mrxs", plane, 0.25, scanned)


def test_a_region_of_qupath_lies_where_it_was_drawn(tmp_path):
    _written(tmp_path / "s.geojson", (1000, 2000, 3000, 5000))
    found = _loaded(tmp_path)
    assert found.shapes["T"].bounds == (21_000, 62_000, 23_000, 65_000)
    assert found.facts["counted_from_px"] == [20_000, 60_000]


def test_what_can_only_lie_in_the_plane_is_taken_so(tmp_path):
    _written(tmp_path / "s.geojson", (40_000, 70_000, 69_000, 99_000))
    found = _loaded(tmp_path)
    assert found.shapes["T"].bounds == (40_000, 70_000, 69_000, 99_000)
    assert "counted_from_px" not in found.facts


@pytest.mark.parametrize("scanned", [None, (0, 0, 50_000, 40_000)])
def test_one_corner_is_no_question(tmp_path, scanned):
    _written(tmp_path / "s.geojson", (1000, 2000, 3000, 5000))
    assert _loaded(tmp_path, scanned).shapes["T"].bounds == (1000, 2000, 3000, 5000)


def test_rectangles_of_a_table_count_from_the_plane(tmp_path):
    (tmp_path / "s.csv").write_text("x,y,width,height,label\n30000,70000,100,100,T\n")
    assert _loaded(tmp_path).shapes["T"].bounds == (30_000, 70_000, 30_100, 70_100)


def test_what_others_wrote_is_taken_where_it_makes_sense_and_else_refused(tmp_path):
    scanned = (20_000, 10_000, 50_000, 40_000)
    for box, moved in [((1000, 2000, 3000, 5000), True), ((60_000, 45_000, 69_000, 49_000), False)]:
        _written(tmp_path / "s.geojson", box, qupath=False)
        shift = (20_000, 10_000) * 2 if moved else (0,) * 4
        bounds = tuple(at + by for at, by in zip(box, shift, strict=True))
        assert _loaded(tmp_path, scanned).shapes["T"].bounds == bounds
    _written(tmp_path / "s.geojson", (30_000, 12_000, 40_000, 30_000), qupath=False)
    with pytest.raises(ChainError, match="does not say from which corner"):
        _loaded(tmp_path, scanned)


def test_a_file_of_qupath_that_fits_nowhere_is_refused(tmp_path):
    _written(tmp_path / "s.geojson", (1000, 2000, 60_000, 5000))
    with pytest.raises(ChainError, match="fits neither"):
        _loaded(tmp_path)


def test_the_corner_is_known_where_what_was_scanned_reaches_beyond_the_plane(tmp_path):
    said = {"mpp-x": 0.25, "mpp-y": 0.25, "bounds-x": -20, "bounds-y": 300, "bounds-width": 500, "bounds-height": 800}
    handle = SimpleNamespace(level_dimensions=((1000, 1000),), level_downsamples=(1.0,),
                             properties={f"openslide.{name}": str(value) for name, value in said.items()})  # fmt: skip
    assert describe(handle, tmp_path / "s.mrxs", None, None).bounds_px == (-20, 300, 500, 800)


def test_a_slide_is_labelled_from_its_corner_and_made_again_when_that_is_known(
    tmp_path, slides_config, prepared, monkeypatch
):
    write_tiff(tmp_path / "s.tif", [picture(640, 640)], 0.5)
    folder = tmp_path / "drawn"
    folder.mkdir()
    _written(folder / "s.geojson", (0, 0, 128, 64))
    config = slides_config(tmp_path / "s.tif", annotations={"path": str(folder)})
    (before,) = config.units(b"")
    inspect = listing.inspect

    def with_corner(*given):
        return dataclasses.replace(inspect(*given), bounds_px=(320, 448, 300, 150))

    monkeypatch.setattr(listing, "inspect", with_corner)
    (after,) = config.units(b"")
    assert before.fingerprint != after.fingerprint
    out, _ = prepared(config)
    store, said = PatchStore(out / "patches.h5"), read_source_labels(out / "patches.h5").label
    assert [store.key(row) for row in range(len(store)) if said[row] == "T"] == ["x000320_y000448", "x000384_y000448"]
