import json

import pytest
import shapely

from data.errors import ChainError, ExitCode
from data.slides.geojson import read_geojson

SQUARE = [[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]
HOLE = [[25, 25], [75, 25], [75, 75], [25, 75], [25, 25]]
BOW_TIE = [[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]


def feature(coordinates, kind="Polygon", **properties):
    geometry = {"type": kind, "coordinates": coordinates}
    return {
        "type": "Feature",
        "id": "a",
        "geometry": geometry,
        "properties": {"objectType": "annotation", **properties},
    }


def classified(name):
    return {"classification": {"name": name, "color": [200, 0, 0]}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "slide.geojson"


def _read(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_geojson(path)


@pytest.mark.parametrize(
    "wrap",
    [lambda f: {"type": "FeatureCollection", "features": [f]}, lambda f: [f], lambda f: f],
    ids=["collection", "list", "bare"],
)
def test_a_collection_a_list_and_a_bare_feature_are_read_alike(path, wrap):
    regions, passed = _read(path, wrap(feature([SQUARE, HOLE], **classified("Tumor"))))
    assert [(r.label, r.shape.area, r.place, r.mended) for r in regions] == [("Tumor", 7500, "feature 1", False)]
    assert passed == 0


def test_many_polygons_of_one_feature_are_regions_of_their_own(path):
    other = [[x + 500, y] for x, y in SQUARE]
    regions, _ = _read(path, feature([[SQUARE, HOLE], [other]], "MultiPolygon", **classified("T")))
    assert [r.shape.area for r in regions] == [7500, 10_000]


@pytest.mark.parametrize(
    ("properties", "label"),
    [
        (classified("Tumor"), "Tumor"),
        ({"classification": {"names": ["Tumor", "Positive"]}}, "Tumor: Positive"),
        ({"classification": "Stroma"}, "Stroma"),
        ({"objectType": None, "name": "by hand"}, "by hand"),
        ({**classified("Tumor"), "name": "by hand"}, "Tumor"),
        ({"objectType": "annotation", "name": "by hand"}, ""),
        ({"objectType": "annotation", **classified("Tumor"), "name": "by hand"}, "Tumor"),
        ({"classification": None}, ""),
        ({}, ""),
    ],
)
def test_the_class_is_found_where_qupath_writes_it(path, properties, label):
    assert _read(path, feature([SQUARE], **properties))[0][0].label == label


@pytest.mark.parametrize("kind", ["cell", "tma_core", "root"])
def test_cells_and_array_cores_are_no_regions(path, kind):
    core = feature([SQUARE], objectType=kind, name="A-1", isMissing=False, **classified("Negative"))
    regions, passed = _read(path, [core, feature([SQUARE], objectType="annotation", **classified("Tumor"))])
    assert [region.label for region in regions] == ["Tumor"]
    assert passed == 1


@pytest.mark.parametrize(
    ("holes", "area"),
    [
        ([[[50, 50], [100, 50], [100, 100], [50, 100], [50, 50]]], 7500),
        ([[[0, 0], [50, 0], [50, 100], [0, 100], [0, 0]]], 5000),
        ([[[50, 50], [200, 50], [200, 200], [50, 200], [50, 50]]], 7500),
        ([HOLE, [[x + 10, y + 10] for x, y in HOLE]], 6600),
        ([HOLE, HOLE], 7500),
        ([[[x + 500, y] for x, y in HOLE]], 10_000),
        ([SQUARE], 0),
    ],
    ids=["touches a corner", "touches three sides", "crosses", "overlap", "twice", "outside", "all"],
)
def test_a_hole_is_never_area_wherever_it_lies(path, holes, area):
    regions, passed = _read(path, feature([SQUARE, *holes], **classified("Tumor")))
    assert sum(r.shape.area for r in regions) == pytest.approx(area)
    assert all(r.mended and not r.shape.intersection(shapely.Polygon(hole)).area for r in regions for hole in holes)
    assert passed == (area == 0)


def test_an_outline_that_crosses_itself_is_mended_and_said(path):
    regions, _ = _read(path, feature([BOW_TIE], **classified("T")))
    assert regions[0].mended
    assert regions[0].shape.area == pytest.approx(5000)
    assert shapely.is_valid(regions[0].shape)


def test_what_has_no_area_is_passed_over_and_counted(path):
    line = [[0, 0], [10, 10], [0, 0]]
    features = [
        feature([5, 5], "Point"),
        feature(SQUARE, "LineString"),
        feature([line]),
        {**feature([]), "geometry": None},
    ]
    assert _read(path, features) == ([], 4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "line 1"),
        ('{"type": "FeatureCollection",\n "features": [', "line 2"),
        ('{"type": "Topology"}', "no FeatureCollection"),
        ('{"type": "FeatureCollection", "features": {}}', "no FeatureCollection"),
        ("[" * 100_000, "nested"),
        ('{"a":' * 100_000, "nested"),
        ("3", "no FeatureCollection"),
        ("[[1]]", "feature 1"),
        (json.dumps(feature([[[0, 0], [1, float("nan")], [1, 1]]])), "NaN"),
        (json.dumps(feature([SQUARE])).replace("100", "1e999", 1), "not finite"),
        (json.dumps(feature([SQUARE])).replace("100", "1" + "0" * 400, 1), "not finite"),
        (json.dumps(feature([SQUARE])).replace("100", "1" * 5000, 1), "digits"),
        (json.dumps(feature([SQUARE])).replace("100", "1e30", 1), "no slide is that large"),
        (json.dumps(feature([SQUARE])).replace("100", "true", 1), "true or false"),
        (json.dumps(feature([SQUARE])).replace("100", '"100"', 1), "the text '100'"),
        (json.dumps(feature([SQUARE])).replace("100", "null", 1), "nothing"),
        (json.dumps([feature([SQUARE]), feature([[[0, 0], [1, 1]]])]), "feature 2"),
        (json.dumps(feature([])), "list of rings"),
        (json.dumps(feature(None)), "coordinates are nothing"),
        (json.dumps(feature([[1, 2, 3]])), "a point is a number"),
        (json.dumps(feature([[[0, 0]] * 3 + [[1]]])), "a point is a list"),
        (json.dumps(feature([SQUARE], "Circle")), "'Circle'"),
        (json.dumps(feature([SQUARE], ["Polygon"])), "a list"),
        (json.dumps(feature([SQUARE], classification=3)), "class is a number"),
        (json.dumps(feature([SQUARE], objectType=None, name="a\x1b[31m")), "control"),
        (json.dumps(feature([SQUARE], objectType=None, name="x" * 300)), "too long"),
        (json.dumps({**feature([SQUARE]), "properties": [1]}), "properties are a list"),
        (json.dumps({**feature([SQUARE]), "geometry": "POLYGON"}), "geometry is the text"),
    ],
)  # fmt: skip
def test_every_oddity_is_refused_by_name(path, content, words):
    with pytest.raises(ChainError) as caught:
        _read(path, content)
    assert caught.value.code == ExitCode.BAD_DATA
    assert words in caught.value.what + caught.value.why
    assert str(path) in caught.value.what


@pytest.mark.parametrize("content", [b"\xff\xfe{\x00}\x00", b'{"type": "\xe4"}', b"\x1f\x8b\x08\x00rest"])
def test_what_is_not_utf8_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(ChainError, match="not readable") as caught:
        read_geojson(path)
    assert "UTF-8" in caught.value.why


def test_a_byte_order_mark_is_no_error(path):
    assert len(_read(path, "\ufeff" + json.dumps(feature([SQUARE])))[0]) == 1


def test_an_export_of_all_cells_is_refused_by_its_size_before_it_is_read(path):
    with path.open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(ChainError, match="68,157,440 bytes"):
        read_geojson(path)


def test_a_missing_file_is_missing(path):
    with pytest.raises(ChainError) as caught:
        read_geojson(path)
    assert caught.value.code == ExitCode.MISSING
