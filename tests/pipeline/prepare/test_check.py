"""`check` of slides: what their annotations would be refused for is said before a pixel is read."""

import json

import pytest

from data.errors import ChainError
from data.slides.preparation import Slides
from pipeline.prepare.check import check
from tests.data.wsi.tiny_tiff import picture, write_tiff


@pytest.fixture
def slides(tmp_path):
    (tmp_path / "slides").mkdir()
    (tmp_path / "drawn").mkdir()
    for name in ("a", "b"):
        write_tiff(tmp_path / "slides" / f"{name}.tif", [picture(128, 128)], 0.5)
        ring = [[0, 0], [64, 0], [64, 64], [0, 64], [0, 0]]
        feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
                   "properties": {"classification": {"name": name}}}  # fmt: skip
        (tmp_path / "drawn" / f"{name}.geojson").write_text(json.dumps(feature))

    def make(**keys):
        plain = {"kind": "slides", "path": str(tmp_path / "slides"), "mpp": 0.5, "size_px": 64, **keys}
        return Slides.model_validate_json(json.dumps(plain))

    return make


def test_what_preparing_would_refuse_of_annotations_is_said_before(slides, tmp_path):
    drawn = {"path": str(tmp_path / "drawn"), "classes": ["a"]}
    with pytest.raises(ChainError, match="1 of 2 slides would be refused") as caught:
        list(check(slides(annotations=drawn)))
    assert "feature 1 has the class 'b'" in caught.value.why
    lines = list(check(slides(annotations=drawn, failure_limit=0.5)))
    assert "1 slide to be cut" in lines[0]
    assert "b.tif" in lines[1]


@pytest.mark.parametrize("keys", [{}, {"pattern": "a*"}])
def test_annotations_of_none_of_the_slides_are_warned_of(slides, tmp_path, keys):
    (tmp_path / "elsewhere").mkdir()
    if keys:
        (tmp_path / "elsewhere" / "b.geojson").write_text((tmp_path / "drawn" / "b.geojson").read_text())
    lines = list(check(slides(annotations={"path": str(tmp_path / "elsewhere")}, **keys)))
    assert lines[1].startswith(f"warning  annotations.path: {tmp_path / 'elsewhere'} has annotations of none")
    assert len(list(check(slides(annotations={"path": str(tmp_path / "elsewhere"), "missing": "outside"})))) == 1


def test_annotations_that_will_do_are_no_matter(slides, tmp_path):
    for keys in ({}, {"annotations": {"path": str(tmp_path / "drawn")}}):
        (line,) = check(slides(**keys))
        assert "2 slides to be cut" in line
