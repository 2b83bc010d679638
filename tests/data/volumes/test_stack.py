"""What the places of slices say, as pure numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.volumes.reasons import Reason
from data.volumes.regrid import axial, even_slices
from data.volumes.stack import Stack, stacked

AXIAL = [1.0, 0, 0, 0, 1, 0]


def at(places: list[float] | np.ndarray, orientation: list[float] | None = None, thickness: float | None = 2) -> Stack:
    n = len(places)
    position = np.zeros((n, 3)) + np.asarray(places, float)[:, None] * [0, 0, 1]
    found = stacked(position, np.tile(orientation or AXIAL, (n, 1)), np.full((n, 2), 0.7), thickness)
    assert isinstance(found, Stack)
    return found


@given(st.permutations(range(12)), st.floats(0.3, 8))
def test_order_is_that_of_positions(order: list[int], step: float) -> None:
    stack = at(np.array(order) * step)
    assert [order[row] for row in stack.order] == list(range(12))
    assert stack.even
    assert stack.step_mm == pytest.approx(step)
    assert not stack.problems


def test_an_array_that_runs_down_is_stacked_along_its_own_normal() -> None:
    stack = at([0, 2, 4], [1, 0, 0, 0, -1, 0])  # rows to the left, columns to the front: the normal looks to the feet
    assert stack.order.tolist() == [2, 1, 0]
    np.testing.assert_allclose(stack.affine[:, 2], [0, 0, -1])


@given(st.integers(20, 400), st.sampled_from([0.625, 0.9, 1.25, 3.27, 5.0]))
def test_positions_rounded_to_a_tenth_are_even(n: int, step: float) -> None:
    assert at(np.round(np.arange(n) * step, 1)).even


@given(st.integers(5, 60), st.floats(0.5, 5), st.data())
def test_a_gap_of_whole_steps_is_missing_slices(n: int, step: float, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(1, n - 2), min_size=1, max_size=max(1, (n - 2) // 4)))
    stack = at(np.array([k for k in range(n) if k not in gone]) * step)
    assert list(stack.problems) == [Reason.MISSING_SLICES]
    assert stack.problems[Reason.MISSING_SLICES].startswith(f"{len(gone)} of {n} ")
    assert stack.step_mm == pytest.approx(step)


@pytest.mark.parametrize("places", [[0, 2, 4, 6, 7.1, 11, 14], [0, 1, 2, 3.5, 4.5, 5.5], [0, 4, 8, 9, 16, 24, 32]])
def test_other_gaps_are_uneven(places: list[float]) -> None:
    assert list(at(places).problems) == [Reason.UNEVEN_SPACING]


def test_a_single_slice_needs_its_thickness() -> None:
    assert at([5.0]).step_mm == 2
    assert stacked(np.zeros((1, 3)), np.array([AXIAL]), np.ones((1, 2)), None) is Reason.NO_GEOMETRY
    assert stacked(np.zeros((2, 3)), np.array([AXIAL] * 2), np.ones((2, 2)), None) is Reason.NO_GEOMETRY


@pytest.mark.parametrize(("degrees", "reason"), [(0.9, None), (1.2, Reason.OBLIQUE), (30, Reason.OBLIQUE)])
def test_oblique_begins_at_one_degree(degrees: float, reason: Reason | None) -> None:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert list(at([0, 2, 4], [c, s, 0, -s, c, 0]).problems) == ([reason] if reason else [])


@pytest.mark.parametrize(("degrees", "tilted"), [(0.4, False), (0.6, True), (-25, True)])
def test_tilt_begins_at_half_a_degree(degrees: float, tilted: bool) -> None:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert (Reason.GANTRY_TILT in at([0, 2, 4], [1, 0, 0, 0, c, s]).problems) == tilted


def test_positions_are_told_as_the_files_have_them() -> None:
    c, s = np.cos(0.3), np.sin(0.3)
    why = at([0, 4, 8, 9, 16, 24, 32], [1, 0, 0, 0, c, s]).problems[Reason.UNEVEN_SPACING]
    assert "1.00 to 8.00 mm" in why


@given(st.lists(st.floats(0.5, 4), min_size=2, max_size=12), st.floats(0.5, 3))
def test_even_slices_keep_what_is_linear_and_what_lies_on_the_grid(gaps: list[float], step: float) -> None:
    along = np.concatenate([[0], np.cumsum(gaps)])
    hu = np.rint(along * 50)[:, None, None].astype(np.int16) + np.zeros((1, 2, 2), np.int16)
    even = even_slices(hu, along, step)
    wanted = np.arange(len(even)) * step * 50
    assert np.abs(even[:, 0, 0] - wanted).max() <= 1.01
    np.testing.assert_array_equal(even[0], hu[0])
    assert (len(even) - 1) * step <= along[-1] + 1e-5 < len(even) * step + 1e-4


def test_axial_of_an_axial_grid_changes_nothing() -> None:
    hu = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    affine = np.diag([0.7, 0.8, 2.5])
    got = axial(hu, affine, np.array([1.0, 2.0, 3.0]))
    assert got is not None
    np.testing.assert_array_equal(got[0], hu)
    flipped = axial(hu[::-1], affine * [1, 1, -1], np.array([1.0, 2.0, 13.0]))
    assert flipped is not None
    np.testing.assert_array_equal(flipped[0], hu)
    np.testing.assert_allclose(flipped[2], [1, 2, 3])


def test_a_grid_that_would_be_too_large_is_not_made() -> None:

    skewed = np.array([[1e-3, 0, 500.0], [0, 1e-3, 500.0], [0, 0, 1e-3]])
    assert axial(np.zeros((100, 9, 9), np.int16), skewed, np.zeros(3)) is None
