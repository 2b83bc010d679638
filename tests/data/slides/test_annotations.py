import json

import numpy as np
import pytest
import shapely
from pydantic import ValidationError

from data.errors import ChainError, ExitCode
from data.slides.annotations import AnnotationsConfig, annotation_files, check_claims, load_annotations

SIZE = (10_000, 8_000)


def _config(path, **keys):
    return AnnotationsConfig.model_validate_json(json.dumps({"path": str(path), **keys}))


def _write(path, *squares):
    """squares: (class, x, y, side)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = []
    for name, x, y, side in squares:
        ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
        properties = {"classification": {"name": name}} if name else {}
        features.append(
            {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}
        )
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "annotations"
    _write(folder / "one.geojson", ("Tumor", 0, 0, 1000), ("Tumor", 500, 0, 1000), ("Stroma", 4000, 4000, 500))
    return folder


def test_regions_of_one_class_are_one_shape_and_counted(folder):
    found = load_annotations(_config(folder), "batch/one.svs", SIZE, 0.5)
    assert {name: shape.area for name, shape in found.shapes.items()} == {"Stroma": 250_000, "Tumor": 1_500_000}
    assert found.facts["regions"] == {"Stroma": 1, "Tumor": 2}
    assert found.drawn


def test_the_file_beside_the_slide_is_found_by_place_or_by_stem(folder):
    config = _config(folder)
    assert annotation_files(config, "one.svs") == (folder / "one.geojson",)
    assert annotation_files(config, "a/b/one.ndpi") == (folder / "one.geojson",)
    _write(folder / "a" / "two.geojson", ("Tumor", 0, 0, 10))
    assert annotation_files(config, "a/two.svs") == (folder / "a" / "two.geojson",)
    assert annotation_files(config, "b/two.svs") == ()


def test_two_files_of_one_slide_are_refused(folder):
    (folder / "one.csv").write_text("x,y,width,height,label\n1,1,5,5,T\n")
    with pytest.raises(ChainError, match=r"one\.geojson and one\.csv"):
        annotation_files(_config(folder), "one.svs")


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    _write(tmp_path / "secret.geojson", ("T", 0, 0, 5))
    (folder / "two.geojson").symlink_to(tmp_path / "secret.geojson")
    with pytest.raises(ChainError, match="outside"):
        annotation_files(_config(folder), "two.svs")


def test_a_slide_without_a_file_is_undrawn_or_refused(folder):
    found = load_annotations(_config(folder), "none.svs", SIZE, 0.5)
    assert not found.drawn
    assert not found.shapes
    with pytest.raises(ChainError) as caught:
        load_annotations(_config(folder, missing="refuse"), "none.svs", SIZE, 0.5)
    assert caught.value.code == ExitCode.MISSING
    with pytest.raises(ChainError) as caught:
        annotation_files(_config(folder / "nowhere"), "one.svs")
    assert caught.value.code == ExitCode.MISSING


def test_classes_are_renamed_ignored_and_known(folder):
    found = load_annotations(_config(folder, rename={"Tumor": "t"}, ignore=["Stroma"]), "one.svs", SIZE, 0.5)
    assert list(found.shapes) == ["t"]
    assert found.facts["regions_ignored"] == 1
    with pytest.raises(ChainError, match="feature 3 has the class 'Stroma'"):
        load_annotations(_config(folder, classes=["Tumor"]), "one.svs", SIZE, 0.5)


def test_what_qupath_ignores_labels_nothing_unless_it_is_renamed(tmp_path):
    _write(tmp_path / "one.geojson", ("Tumor", 0, 0, 5), ("Ignore*", 5, 5, 5), ("Region*", 0, 0, 50))
    found = load_annotations(_config(tmp_path), "one.svs", SIZE, 0.5)
    assert found.facts["regions"] == {"Tumor": 1}
    assert found.facts["regions_ignored"] == 2
    assert found.drawn
    named = load_annotations(_config(tmp_path, rename={"Region*": "tissue"}), "one.svs", SIZE, 0.5)
    assert named.facts["regions"] == {"Tumor": 1, "tissue": 1}


def test_a_region_without_a_class_is_refused_and_the_remedies_hold(folder):
    _write(folder / "bare.geojson", ("", 0, 0, 10))
    with pytest.raises(ChainError, match="feature 1 has no class"):
        load_annotations(_config(folder), "bare.svs", SIZE, 0.5)
    assert not load_annotations(_config(folder, ignore=[""]), "bare.svs", SIZE, 0.5).shapes
    assert list(load_annotations(_config(folder, rename={"": "x"}), "bare.svs", SIZE, 0.5).shapes) == ["x"]


@pytest.mark.parametrize("square", [(9_500, 0, 1000), (-500, 0, 1000), (0, 7_500, 1000), (50_000, 50_000, 5)])
def test_a_region_outside_the_slide_is_refused_by_name(folder, square):
    _write(folder / "out.geojson", ("Tumor", 5, 5, 10), ("Tumor", *square))
    with pytest.raises(ChainError, match=r"out\.geojson: feature 2 reaches") as caught:
        load_annotations(_config(folder), "out.svs", SIZE, 0.5)
    assert "10,000 x 8,000" in caught.value.why


def test_a_brush_that_leaves_the_edge_by_a_little_is_no_error(folder):
    _write(folder / "edge.geojson", ("Tumor", -3, -3, 500))
    assert load_annotations(_config(folder), "edge.svs", SIZE, 0.5).drawn


def test_one_table_for_all_slides_in_pixels_or_microns(tmp_path):
    table = tmp_path / "all.csv"
    table.write_text("slide,x,y,width,height,label\none.svs,10,20,100,50,A\na/two,0,0,5,5,B\none,200,20,100,50,A\n")
    found = load_annotations(_config(table), "one.svs", SIZE, 0.5)
    assert found.shapes["A"].equals(shapely.union_all([shapely.box(10, 20, 110, 70), shapely.box(200, 20, 300, 70)]))
    assert list(load_annotations(_config(table), "a/two.svs", SIZE, 0.5).shapes) == ["B"]
    assert not load_annotations(_config(table), "three.svs", SIZE, 0.5).drawn
    micron = load_annotations(_config(table, unit="um"), "a/two.svs", SIZE, 0.25)
    assert micron.shapes["B"].bounds == (0, 0, 20, 20)
    with pytest.raises(ChainError, match="no row of three"):
        load_annotations(_config(table, missing="refuse"), "three.svs", SIZE, 0.5)


def test_one_geojson_for_all_slides_is_refused_as_such(folder):
    with pytest.raises(ChainError, match=r"one\.geojson is one file, and no \.csv") as caught:
        check_claims(_config(folder / "one.geojson"), ["one.svs"])
    assert "name the folder" in caught.value.todo


def test_a_table_for_one_slide_needs_no_slide_column(tmp_path):
    (tmp_path / "one.csv").write_text("x,y,width,height,label\n10,20,100,50,A\n")
    assert load_annotations(_config(tmp_path), "one.svs", SIZE, 0.5).facts["regions"] == {"A": 1}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("one,nan,0,5,5,A", "x is 'nan'"),
        ("one,1_0,0,5,5,A", "x is '1_0'"),
        ("one,1e999,0,5,5,A", "x is"),
        ("one,0x10,0,5,5,A", "x is"),
        ("one,,0,5,5,A", "x is empty"),
        ("one,1,1,0,5,A", "no area"),
        ("one,1,1,-4,5,A", "no area"),
        ("one,1,1,1e30,5,A", "no slide is that large"),
        ("one,1,1,5,5,", "no class"),
        ("one,1,1,5,5,\x1b[31m", "control"),
        (",1,1,5,5,A", "its slide is empty"),
        ("one,1,1,5,A", "5 cells"),
        ("one,-4000,1,5,5,A", "reaches"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_by_its_line(tmp_path, row, words):
    table = tmp_path / "all.csv"
    table.write_text(f"slide,x,y,width,height,label\none,1,1,5,5,A\n{row}\n")
    with pytest.raises(ChainError) as caught:
        load_annotations(_config(table), "one.svs", SIZE, 0.5)
    assert "line 3" in caught.value.what
    assert words in caught.value.what + caught.value.why
    assert caught.value.code == ExitCode.BAD_DATA


def test_a_slip_is_seen_in_whatever_kind_of_file_slides_are_annotated(tmp_path):
    _write(tmp_path / "one.json", ("T", 0, 0, 5))
    (tmp_path / "classes.csv").write_text("name\n")  # no slide here is annotated in a table
    check_claims(_config(tmp_path), ["one.svs", "two.svs"])
    _write(tmp_path / "slip.json", ("T", 0, 0, 5))
    with pytest.raises(ChainError, match=r"slip\.json"):
        check_claims(_config(tmp_path), ["one.svs", "two.svs"])


ASAP = b'<?xml version="1.0"?>\n<ASAP_Annotations>\n\t<Annotations>'


@pytest.mark.parametrize("name", ["s2.xml", "s2.GeoJSON", "s2.geojson.gz", "s2.CSV", "S2.XML", "batch/s2.xml"])
def test_a_slide_annotated_in_a_kind_that_is_not_read_does_not_count_as_one_without(tmp_path, name):
    folder = tmp_path / "annotations"
    (folder / "batch").mkdir(parents=True)
    (folder / "s1.geojson").write_text("[]")
    config = AnnotationsConfig(path=folder, missing="outside", outside="normal")
    check_claims(config, ["s1.svs", "s2.svs"])
    (folder / name).write_bytes(ASAP)
    with pytest.raises(ChainError, match=r"(?i)s2.* seems to annotate s2.svs, and is of a kind that") as caught:
        check_claims(config, ["s1.svs", "s2.svs"])
    assert caught.value.code == 65
    check_claims(config, ["s1.svs"])


def test_xml_of_a_scanner_is_no_annotation(tmp_path):
    (tmp_path / "s2.xml").write_text("<?xml version='1.0'?><EncodeInfo/>")
    check_claims(AnnotationsConfig(path=tmp_path), ["s2.svs"])


def test_an_annotation_without_a_slide_beside_a_slide_without_annotation_is_a_slip(folder, tmp_path):
    config = _config(folder)
    check_claims(config, ["one.svs", "two.svs"])  # nobody drew on two
    _write(folder / "slip.geojson", ("T", 0, 0, 5))
    (folder / "slides.csv").write_text("file,patient\n")  # of something else
    check_claims(config, ["one.svs"])  # another cohort's
    with pytest.raises(ChainError, match=r"slip\.geojson") as caught:
        check_claims(config, ["one.svs", "two.svs"])
    assert "1 of 2 slides" in caught.value.why
    assert "two.svs" in caught.value.why
    table = tmp_path / "all.csv"
    table.write_text("slide,x,y,width,height,label\none.svs,1,1,5,5,A\nslip,1,1,5,5,A\n")
    check_claims(_config(table), ["one.svs"])
    with pytest.raises(ChainError, match=r"'slip' \(line 3\)"):
        check_claims(_config(table), ["one.svs", "two.svs"])


def test_one_file_is_never_taken_for_two_slides_of_the_same_name(tmp_path):
    folder, slides = tmp_path / "annotations", ["one.svs", "x/one.svs"]
    config = _config(folder)
    _write(folder / "one.geojson", ("T", 0, 0, 5))
    with pytest.raises(ChainError, match=r"one\.geojson may belong to one\.svs and to x/one\.svs") as caught:
        check_claims(config, slides)
    assert caught.value.todo.endswith("one.geojson and x/one.geojson")
    _write(folder / "x/one.geojson", ("S", 0, 0, 5))
    check_claims(config, slides)
    labels = [list(load_annotations(config, slide, SIZE, 0.5).shapes) for slide in slides]
    assert labels == [["T"], ["S"]]
    table = tmp_path / "all.csv"
    table.write_text("slide,x,y,width,height,label\none.svs,1,1,5,5,A\n")
    with pytest.raises(ChainError, match=r"line 2: 'one\.svs' may mean x/one\.svs and y/one\.svs"):
        check_claims(_config(table), ["x/one.svs", "y/one.svs"])
    table.write_text("slide,x,y,width,height,label\nx/one.svs,1,1,5,5,A\ny/one,1,1,5,5,A\n")
    check_claims(_config(table), ["x/one.svs", "y/one.svs"])


@pytest.mark.parametrize(
    "keys",
    [
        {"outside": ""},
        {"ignore": ["A"], "rename": {"A": "B"}},
        {"classes": ["A"], "rename": {"x": "B"}},
        {"classes": ["A"], "outside": "B"},
        {"min_share": 0},
        {"unit": "mm"},
    ],
)
def test_settings_that_contradict_themselves_are_refused(tmp_path, keys):
    with pytest.raises(ValidationError):
        _config(tmp_path, **keys)


def test_the_recipe_holds_the_rule_and_not_the_place(tmp_path):
    assert _config(tmp_path / "a").recipe() == _config(tmp_path / "b").recipe()
    assert _config(tmp_path).recipe() != _config(tmp_path, min_share=0.6).recipe()
    assert np.isclose(_config(tmp_path).recipe()["min_share"], 0.5)
