"""Laws of drawn slides: functions of their specification, tissue where the annotation says, seamless, as OpenSlide
reads them."""

import csv
import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import shapely

from data.synthetic.cohort import Cohort, draw_slide, write_table
from data.synthetic.slides import LEVELS, SlideDrawing, SlideSpec, write_slide
from data.synthetic.tissue_names import TISSUES

SMALL = Cohort(seed=0, patients=3, side_px=1024, mpp=1.0)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cohort")
    for index in range(SMALL.patients):
        draw_slide(directory, SMALL, index)
    write_table(directory, SMALL)
    return directory


def zones(directory: Path, name: str) -> dict[str, shapely.Geometry]:
    """Each class's area on a slide, read back from its annotation file."""
    document = json.loads((directory / "annotations" / f"{name}.geojson").read_text())
    found: dict[str, list[shapely.Geometry]] = {}
    for feature in document["features"]:
        label = feature["properties"]["classification"]["name"]
        found.setdefault(label, []).append(shapely.geometry.shape(feature["geometry"]))
    return {label: shapely.union_all(parts) for label, parts in found.items()}


def pixels(directory: Path, name: str) -> np.ndarray:
    with openslide.OpenSlide(directory / "slides" / f"{name}.tif") as slide:
        return np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))


def test_the_same_cohort_is_the_same_bytes_and_another_seed_another(drawn: Path, tmp_path: Path) -> None:
    draw_slide(tmp_path / "again", SMALL, 2)
    draw_slide(tmp_path / "other", Cohort(seed=1, patients=3, side_px=1024, mpp=1.0), 2)
    for file in ("slides/p02.tif", "annotations/p02.geojson"):
        assert (tmp_path / "again" / file).read_bytes() == (drawn / file).read_bytes()
        assert (tmp_path / "other" / file).read_bytes() != (drawn / file).read_bytes()


def test_openslide_finds_a_pyramid_with_its_resolution(drawn: Path) -> None:
    for name in SMALL.names():
        with openslide.OpenSlide(drawn / "slides" / f"{name}.tif") as slide:
            assert slide.level_count == LEVELS
            assert slide.level_dimensions == tuple((1024 >> i, 1024 >> i) for i in range(LEVELS))
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(1.0)


def test_zones_tile_the_tissue_and_glass_is_bright(drawn: Path) -> None:
    for name in SMALL.names():
        parts = zones(drawn, name)
        tissue = shapely.union_all(list(parts.values()))
        assert sum(part.area for part in parts.values()) == pytest.approx(tissue.area, rel=1e-3)
        assert 0.4 < tissue.area / 1024**2 < 0.9
        inside, outside = shapely.buffer(tissue, -8), shapely.buffer(tissue, 8)
        y, x = np.mgrid[0:1024:8, 0:1024:8].reshape(2, -1)
        light = pixels(drawn, name)[y, x].astype(float)
        glass, dyed = ~shapely.contains_xy(outside, x, y), shapely.contains_xy(inside, x, y)
        spread = light.max(axis=1) - light.min(axis=1)
        pen = 0.2 if name == "p01" else 0.0  # one slide in four bears a pen mark, on or beside the tissue
        assert (light[glass].min(axis=1) > 180).mean() > 0.97 - pen, name
        assert (spread[dyed] > 25).mean() > 0.85 - pen, name


def test_every_slide_shows_every_tissue_where_the_annotation_says() -> None:
    spec = SlideSpec(seed=5, patient=1, side_px=1024, mpp=1.0)
    drawing = SlideDrawing(spec)
    assert drawing.layout.zones.keys() == set(TISSUES)
    red = np.concatenate([drawing.strip(top, 256) for top in range(0, 1024, 256)])[..., 0].astype(float)
    y, x = np.mgrid[0:1024:4, 0:1024:4].reshape(2, -1)

    def seen(tissue: str) -> float:
        inside = shapely.contains_xy(shapely.buffer(drawing.layout.zones[tissue], -4), x, y)
        return float(red[y[inside], x[inside]].mean())

    # haematoxylin takes red light: where nuclei are packed it is darker than among fibres
    assert seen("lymphocytes") < seen("stroma") - 10


def test_strips_of_any_height_show_the_same_slide() -> None:
    spec = SlideSpec(patient=4, side_px=512, mpp=1.0, pen=True)
    low, high = SlideDrawing(spec), SlideDrawing(spec)
    one = np.concatenate([low.strip(top, 64) for top in range(0, 512, 64)]).astype(float)
    other = high.strip(0, 512).astype(float)
    # the scanner's noise (standard deviation 3) is the strip's own
    assert np.abs(one - other).mean() < 4
    for seam in range(64, 512, 64):
        assert np.abs(one[seam - 2 : seam + 2] - other[seam - 2 : seam + 2]).mean() < 4.5


def test_a_pen_mark_covers_some_of_the_glass(tmp_path: Path) -> None:
    plain, marked = (SlideDrawing(SlideSpec(side_px=512, mpp=2.0, pen=pen)).strip(0, 512) for pen in (False, True))
    changed = (np.abs(plain.astype(int) - marked) > 40).any(axis=2).mean()
    assert 0.005 < changed < 0.1


def test_the_layout_returned_is_the_layout_drawn(tmp_path: Path) -> None:
    spec = SlideSpec(side_px=512, mpp=2.0)
    assert write_slide(tmp_path / "a.tif", spec).zones.keys() == SlideDrawing(spec).layout.zones.keys()


def test_the_table_names_every_slide_with_patient_and_site(drawn: Path) -> None:
    with (drawn / "slides.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [path.name for path in sorted((drawn / "slides").iterdir())]
    assert [row["patient"] for row in rows] == SMALL.names()
    assert {row["site"] for row in rows} == {"north", "south", "west"}
