"""The rule for patches on a border, against counting pixels."""

import time

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from data.slides.annotations import Annotations, AnnotationsConfig
from data.slides.labelling import area_shares, label_patches

SIDE = 100.0


def _config(**keys):
    return AnnotationsConfig.model_validate({"path": "/nowhere", **keys}, strict=False)


def _labels(shapes, xy, drawn=True, **keys):
    labels, keep = label_patches(np.array(xy).reshape(-1, 2), SIDE, Annotations(shapes, drawn), _config(**keys))
    assert keep.dtype == bool
    assert len(labels) == len(keep)
    return [label if kept else None for label, kept in zip(labels, keep, strict=True)]


A, B = shapely.box(0, 0, 200, 100), shapely.box(260, 0, 460, 100)


def test_a_patch_has_the_class_that_covers_its_stated_share():
    places = [(0, 0), (149, 0), (150, 0), (151, 0), (500, 0)]
    assert _labels({"A": A}, places) == ["A", "A", "A", "", ""]
    assert _labels({"A": A}, places, min_share=1.0) == ["A", "", "", "", ""]
    assert _labels({"A": A}, places, min_share=0.01) == ["A", "A", "A", "A", ""]


def test_of_two_classes_the_larger_counts_or_none_as_stated():
    # at 180: 0.2 of A, 0.2 of B; at 170: 0.3 of A, 0.1 of B; at 190: 0.1 and 0.3
    places = [(170, 0), (190, 0), (180, 0), (0, 0)]
    both = {"B": B, "A": A}  # of one area: A is the first by name
    assert _labels(both, places, min_share=0.1) == ["A", "B", "A", "A"]
    assert _labels(both, places, min_share=0.1, ambiguous="drop") == [None, None, None, "A"]
    assert _labels(both, places, min_share=0.1, ambiguous="unlabelled") == ["", "", "", "A"]
    assert _labels(both, places, min_share=0.25, ambiguous="drop") == ["A", "B", "", "A"]


@pytest.mark.parametrize(("outline", "inside"), [("Tissue", "Tumor"), ("A", "B"), ("B", "A")])
def test_what_is_drawn_inside_an_outline_counts_there(outline, inside):
    nested = {outline: shapely.box(0, 0, 600, 100), inside: shapely.box(0, 0, 300, 100)}
    assert _labels(nested, [(0, 0), (150, 0), (400, 0)]) == [inside, inside, outline]
    assert _labels(nested, [(0, 0), (400, 0)], ambiguous="drop") == [None, outline]


def test_at_its_border_too_what_is_drawn_inside_an_outline_counts():
    nested = {"Tissue": shapely.box(0, 0, 900, 900), "Tumor": shapely.box(300, 300, 450, 400)}
    #         all of it   0.8 of it   half of it  0.4: less than min_share
    places = [(300, 300), (370, 300), (400, 300), (410, 300)]
    assert _labels(nested, places) == ["Tumor", "Tumor", "Tumor", "Tissue"]
    # 0.4 against 0.6, both enough: most of the patch counts
    assert _labels(nested, [(410, 300)], min_share=0.3) == ["Tissue"]
    deeper = nested | {"Necrosis": shapely.box(300, 300, 360, 400)}
    assert _labels(deeper, [(300, 300), (320, 300)], min_share=0.3) == ["Necrosis", "Tumor"]


def test_outside_is_unlabelled_dropped_or_a_class():
    places = [(0, 0), (500, 0)]
    assert _labels({"A": A}, places) == ["A", ""]
    assert _labels({"A": A}, places, outside="drop") == ["A", None]
    assert _labels({"A": A}, places, outside="normal") == ["A", "normal"]
    # undecided between two classes is not outside
    assert _labels({"A": A, "B": B}, [(180, 0)], min_share=0.1, ambiguous="unlabelled", outside="normal") == [""]


def test_a_slide_nobody_drew_on_is_unlabelled_unless_stated():
    places = [(0, 0)]
    assert _labels({}, places, drawn=False, outside="normal") == [""]
    assert _labels({}, places, drawn=False, outside="drop") == [""]
    assert _labels({}, places, drawn=False, outside="normal", missing="outside") == ["normal"]
    assert _labels({}, places, drawn=True, outside="normal") == ["normal"]
    assert _labels({}, []) == []


@given(seed=st.integers(0, 10_000), side=st.integers(3, 40))
@settings(max_examples=60, deadline=None)
def test_shares_are_what_counting_pixels_gives(seed, side):
    # unions of whole-pixel boxes with a hole: counting is exact
    rng = np.random.default_rng(seed)
    drawn = np.zeros((160, 160), bool)
    boxes = []
    for _ in range(rng.integers(1, 6)):
        (x, y), (w, h) = rng.integers(0, 90, 2), rng.integers(1, 70, 2)
        drawn[y : y + h, x : x + w] = True
        boxes.append(shapely.box(x, y, x + w, y + h))
    x, y, w, h = rng.integers(10, 50, 4)
    drawn[y : y + h, x : x + w] = False
    shape = shapely.union_all(boxes) - shapely.box(x, y, x + w, y + h)
    xy = rng.integers(0, 120, (40, 2))
    counted = [drawn[y : y + side, x : x + side].mean() for x, y in xy]
    assert np.allclose(area_shares(xy, side, shape), counted, atol=1e-9)


def test_a_hundred_thousand_patches_under_a_rich_outline_take_seconds():
    rng = np.random.default_rng(0)
    turn = np.linspace(0, 2 * np.pi, 60_000, endpoint=False)
    radius = 30_000 + 3_000 * np.sin(60 * turn) + rng.normal(0, 15, len(turn))
    outline = np.stack([40_000 + radius * np.cos(turn), 40_000 + radius * np.sin(turn)], axis=1)
    shape = shapely.make_valid(shapely.Polygon(outline))
    y, x = np.meshgrid(np.arange(0, 80_000, 250), np.arange(0, 80_000, 250), indexing="ij")
    xy = np.stack([x.ravel(), y.ravel()], axis=1)
    start = time.perf_counter()
    shares = area_shares(xy, 250, shape)
    taken = time.perf_counter() - start
    assert len(xy) > 100_000
    # the squares tile the plane, so their shares sum to the area
    assert shares.sum() * 250**2 == pytest.approx(shape.area, rel=1e-9)
    assert taken < 20  # about 2 s on one core; generous for a busy machine
