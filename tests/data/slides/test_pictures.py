import io

import numpy as np
import pytest
import shapely
from PIL import Image

from data.slides.annotations import Annotations
from data.slides.pictures import LONGEST_PX, picture

GLASS = np.full((200, 300, 3), 240, np.uint8)


def _opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_equal_arguments_give_equal_bytes_and_leave_the_thumbnail_alone():
    thumbnail = GLASS.copy()
    xy = np.array([[0, 0], [320, 0]])
    shape = Annotations({"A": shapely.box(100, 100, 900, 900)}, True)
    mask = np.zeros((50, 75), bool)
    mask[10:30, 10:40] = True
    one, two = (picture(thumbnail, 10.0, mask, xy, 320.0, ["A", ""], shape) for _ in range(2))
    assert one == two
    assert (thumbnail == 240).all()


def test_patches_stand_where_they_are_and_differ_by_label():
    xy = np.array([[0, 0], [1000, 0], [2000, 1000]])
    seen = _opened(picture(GLASS, 10.0, None, xy, 500.0, ["A", "B", ""]))
    plain = _opened(picture(GLASS, 10.0, None, np.empty((0, 2), int), 500.0, []))
    changed = np.abs(seen[:200] - plain[:200]).max(axis=2) > 20
    assert changed[25, 25]
    assert changed[25, 125]
    assert changed[125, 225]
    assert not changed[150:, :150].any()
    colours = [seen[25, 25], seen[25, 125], seen[125, 225]]
    assert min(np.abs(a - b).max() for i, a in enumerate(colours) for b in colours[:i]) > 20


@pytest.mark.parametrize("shape", [(5000, 300), (300, 5000), (1600, 1600), (1, 4000), (1, 1)])
def test_no_side_is_longer_than_the_cap(shape):
    thumbnail = np.full((*shape, 3), 255, np.uint8)
    labels = [f"class {i}" for i in range(60)]
    xy = np.zeros((60, 2), int)
    seen = _opened(picture(thumbnail, 4.0, np.ones((3, 3), bool), xy, 2.0, labels))
    assert max(seen.shape) <= LONGEST_PX


@pytest.mark.parametrize("name", ["Łódź 腫瘍", "<script>alert(1)</script>", "x" * 200])
def test_any_class_name_is_drawn(name):
    assert picture(GLASS, 10.0, None, np.array([[0, 0]]), 100.0, [name])[:2] == b"\xff\xd8"


def test_regions_far_beyond_are_clipped_not_crashed_on():
    shapes = {"A": shapely.box(-5e7, -5e7, 5e7, 5e7), "B": shapely.union_all([shapely.box(0, 0, 9, 9)])}
    assert picture(GLASS, 1.0, None, np.empty((0, 2), int), 1.0, [], Annotations(shapes, True))
