"""Labels: of points, of the share of a mask, of the volume; on borders a patch stays unlabelled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data.volumes.config import MaskClass, MaskLabels
from data.volumes.label_map import LabelMap
from data.volumes.labelling import by_share, labelling
from data.volumes.lattice import Lattice
from data.volumes.points import Point
from data.volumes.preparation import Volumes

GRID = {"kind": "grid", "stride_mm": 8, "region": "volume"}
BASE = {"path": "ct", "spacing_mm": 1.0, "size_px": 8}


def config(**keys):
    import json

    return Volumes.model_validate_json(json.dumps({**BASE, "where": GRID, **keys}))


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.integers(0, 4), min_size=1, max_size=40),
    fortieths=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    otherwise=st.sampled_from([None, "background"]),
)
def test_the_first_class_with_enough_of_it_is_taken(values, fortieths, otherwise):
    rare = MaskClass(name="rare", values=[3, 4], min_share=fortieths[0] / 40)
    common = MaskClass(name="common", values=[1], min_share=fortieths[1] / 40)
    n = len(values)
    of_rare, of_common = sum(v in (3, 4) for v in values), values.count(1)
    if 40 * of_rare >= fortieths[0] * n:
        expected = "rare"
    elif 40 * of_common >= fortieths[1] * n:
        expected = "common"
    else:
        expected = "" if of_rare or of_common or otherwise is None else otherwise
    assert by_share(np.array(values), [rare, common], otherwise) == expected


def test_a_mask_labels_a_patch_by_its_own_samples():
    values = np.zeros((4, 20, 20), np.uint16)
    values[:, 5:10, 5:15] = 2
    rule = {"kind": "mask", "masks": {"folder": "m"}, "otherwise": "none",
            "classes": [{"name": "organ", "values": [2], "min_share": 0.4}]}  # fmt: skip
    lattice = Lattice(6, 1, 1.0, None)
    label = labelling(config(labels=rule), lattice, "", LabelMap(values, (1.0, 1.0, 1.0)), [], 1.0)
    for y in range(3, 17):
        for x in range(3, 17):
            share = (values[2, y - 3 : y + 3, x - 3 : x + 3] == 2).mean()
            expected = "organ" if share >= 0.4 else "" if share else "none"
            assert label(np.array([x - 0.5, y - 0.5, 2.0]), None) == expected


def test_a_patch_at_a_point_has_its_class_by_name():
    rule = {"kind": "points", "names": {"1": "nodule"}}
    section = config(where={"kind": "points"}, points={"csv": "p.csv"}, labels=rule)
    label = labelling(section, section.lattice, "", None, [], 1.0)
    assert label(np.zeros(3), Point((0, 0, 0), "1")) == "nodule"
    assert label(np.zeros(3), Point((0, 0, 0), "0")) == ""


def test_a_patch_of_a_grid_has_the_class_of_the_points_in_it_when_they_agree():
    section = config(points={"csv": "p.csv"}, labels={"kind": "points", "otherwise": "none"})
    seen = [(np.array(at, float), Point((0, 0, 0), name)) for at, name in [([0, 0, 0], "a"), ([5, 0, 0], "b")]]
    label = labelling(section, section.lattice, "", None, seen, 3.0)
    at = {0: "a", -3.9: "a", -4.1: "none", 0.9: "a", 1.1: "", 4.1: "b", 9.1: "none"}
    assert {x: label(np.array([x, 0, 0]), None) for x in at} == at
    assert label(np.array([0, 0, 1.4]), None) == "a"
    assert label(np.array([0, 0, 1.6]), None) == "none", "beyond half the thickness of the slice"


def test_labels_of_the_volume_and_none():
    of_volume = labelling(
        config(labels={"kind": "volume"}, table="t.csv"), Lattice(2, 1, 1, None), "ill", None, [], 1.0
    )
    assert of_volume(np.zeros(3), None) == "ill"
    assert labelling(config(), Lattice(2, 1, 1, None), "ill", None, [], 1.0)(np.zeros(3), None) == ""


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"shape": "2d", "slices": 3}, "slices"),
        ({"shape": "2.5d", "slices": 4}, "odd"),
        ({"shape": "3d", "slices": 1}, "slices"),
        ({"shape": "3d", "size_px": 512, "slices": 256}, "too large"),
        ({"where": {"kind": "points"}}, "needs `points`"),
        ({"points": {"csv": "p.csv"}}, "neither"),
        ({"labels": {"kind": "volume"}}, "table"),
        ({"where": {**GRID, "region": "mask"}}, "masks"),
        ({"where": {**GRID, "values": [1]}}, "values"),
        ({"accept": ["truncated"]}, "cannot be accepted"),
        ({"accept": ["sunshine"]}, "accept"),
        ({"spacing_mm": 0}, "spacing_mm"),
        ({"spacing": 1}, "spacing"),
    ],
)
def test_settings_that_do_not_fit_are_refused(keys, says):
    with pytest.raises(ValidationError, match=says):
        config(**keys)


def test_a_value_belongs_to_one_class():
    classes = [{"name": n, "values": [1], "min_share": 0.5} for n in "ab"]
    with pytest.raises(ValidationError, match="one class"):
        MaskLabels.model_validate_json(
            f'{{"kind": "mask", "masks": {{"folder": "m"}}, "classes": {classes}}}'.replace("'", '"')
        )


def test_shapes_give_their_lattice():
    assert config().lattice == Lattice(8, 1, 1.0, None)
    assert config(slice_mm=5).lattice == Lattice(8, 1, 1.0, 5.0)
    assert config(shape="2.5d").lattice == Lattice(8, 3, 1.0, 1.0)
    assert config(shape="2.5d", slices=5, slice_mm=2.5).lattice == Lattice(8, 5, 1.0, 2.5)
    assert config(shape="3d").lattice == Lattice(8, 8, 1.0, 1.0)
    assert config(shape="3d").patch_words() == "8 px x 8 slices at 1 mm"


def test_the_recipe_of_a_unit_knows_no_path():
    section = config(points={"csv": "p.csv"}, labels={"kind": "points"}, id_key="k", accept=["gantry_tilt"])
    recipe = section.unit_recipe()
    assert "p.csv" not in str(recipe)
    assert not {"accept", "unmatched", "failure_limit", "pattern", "path", "id_key"} & set(recipe)
