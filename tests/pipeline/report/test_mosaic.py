"""A picture of a slide or volume shows its patches where they lie, each that may be drawn, and the nearest on top."""

import cv2
import numpy as np
import pytest

from pipeline.report.mosaic import Mosaic, mosaic
from pipeline.report.places import SLIDE, VOLUME, Places

SIDE = 10.0
ALL = 1000


def places(kind: str, xyz: np.ndarray) -> Places:
    """Patches of one slide, SIDE wide, with their left, upper corner and height at xyz (K, 3)."""
    count = len(xyz)
    x, y, z = xyz.T.astype(float)
    return Places(kind, np.arange(count), np.zeros(count, np.int64), x, y, z, np.full(count, SIDE), True)


def drawn(found: Places, grey: np.ndarray, most: int = ALL) -> tuple[Mosaic, np.ndarray]:
    """The mosaic of patches of one grey each, and its picture (H, W)."""
    made = mosaic(found, 0, lambda row: np.full((8, 8, 1), grey[row], np.uint8), most)
    picture = cv2.imdecode(np.frombuffer(made.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return made, picture


def middles(made: Mosaic, picture: np.ndarray) -> np.ndarray:
    """(K,) what the picture shows in the middle of each patch's square."""
    half = made.side / 2
    found: np.ndarray = picture[(made.top + half).astype(int), (made.left + half).astype(int)]
    return found.astype(int)


def test_every_patch_is_drawn_where_there_are_few_however_they_overlap() -> None:
    # the corners of each pair fall into one square of the grid, as those of nodules do
    xyz = np.array([[0, 0, 0], [8, 6, 0], [40, 1, 0], [48, 7, 0]])
    grey = np.array([60, 120, 180, 240])
    for kind in (SLIDE, VOLUME):
        made, picture = drawn(places(kind, xyz), grey)
        assert made.taken == len(xyz)
        own = (made.left + 0.9 * made.side).astype(int), (made.top + 0.9 * made.side).astype(int)
        shown = picture[own[1], own[0]].astype(int)
        assert np.abs(shown[1::2] - grey[1::2]).max() < 12, kind


def test_a_sheet_of_a_volume_shows_what_is_nearest_to_its_height() -> None:
    heights = np.arange(21)
    xyz = np.array([[x, 0, z] for x in (0, 10) for z in heights])
    grey = np.tile(20 + 10 * heights, 2)
    for most in (ALL, 15):  # of so many, one stands for each square
        made, picture = drawn(places(VOLUME, xyz), grey, most)
        assert made.heights == (0, 4, 8, 12, 16, 20)
        at = np.isin(xyz[:, 2], made.heights)
        assert np.abs(middles(made, picture)[at] - grey[at]).max() < 6


def test_no_patch_is_stretched_onto_the_next_sheet() -> None:
    # five patches across: squares of two do not end where the sheet ends
    xyz = np.array([[10 * x, 10 * y, z] for z in (0, 50) for y in range(5) for x in range(5)])
    grey = np.where(xyz[:, 2] == 0, 40, 220)
    made, picture = drawn(places(VOLUME, xyz), grey, 20)
    assert made.taken < len(xyz)
    assert np.abs(middles(made, picture) - grey).max() < 6


def scattered(count: int, across: int, side: np.ndarray) -> Places:
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, across, count) * 256.0 for _ in range(2))
    return Places(SLIDE, np.arange(count), np.zeros(count, np.int64), x, y, np.zeros(count), side, True)


@pytest.mark.parametrize("sides", [(256.0,), (256.0, 512.0, 300.0)])
@pytest.mark.parametrize(("count", "most"), [(1, 1), (50, 60), (700, 60), (3000, 7)])
def test_the_squares_are_the_smallest_that_are_few_enough(count: int, most: int, sides: tuple[float, ...]) -> None:
    found = scattered(count, 60, np.resize(sides, count))
    x, y = found.x - found.x.min(), found.y - found.y.min()

    def squares(step: int) -> int:
        return len(set(zip((x // (found.side * step)).tolist(), (y // (found.side * step)).tolist(), strict=True)))

    few_enough = count if count <= most else next(n for step in range(1, 99) if (n := squares(step)) <= most)
    made = mosaic(found, 0, lambda row: np.full((8, 8, 3), row % 251, np.uint8), most)
    assert made.taken == few_enough
