"""Where a voxel lies does not depend on how the array is stored."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.volumes.volume import Volume, closest_axes

TURNS = [
    (np.array(signs)[:, None] * np.eye(3))[:, list(order)]
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def volume(direction: np.ndarray) -> Volume:
    hu = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    return Volume(hu, (0.5, 0.7, 2.0), np.array([10.0, -20.0, 5.0]), direction)


def values_by_place(of: Volume) -> dict[tuple[float, ...], int]:
    z, y, x = np.indices(of.hu.shape)
    world = of.to_world(np.stack([x, y, z], -1)).reshape(-1, 3)
    return {tuple(np.round(place, 6)): int(value) for place, value in zip(world, of.hu.ravel(), strict=True)}


@pytest.mark.parametrize("direction", TURNS, ids=lambda turn: str(turn.astype(int).tolist()))
def test_orienting_moves_no_voxel(direction: np.ndarray) -> None:
    stored = volume(direction)
    axial = stored.oriented()
    assert values_by_place(axial) == values_by_place(stored)
    np.testing.assert_array_equal(axial.direction, np.eye(3))
    assert axial.hu.flags.c_contiguous


@given(st.sampled_from(TURNS), st.floats(-0.3, 0.3), st.integers(0, 2))
def test_a_small_turn_is_kept_exactly(direction: np.ndarray, angle: float, about: int) -> None:
    one, other = (axis for axis in range(3) if axis != about)
    turn = np.eye(3)
    turn[one, one] = turn[other, other] = np.cos(angle)
    turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
    stored = volume(turn @ direction)
    axial = stored.oriented()
    places, values = zip(*sorted(values_by_place(stored).items(), key=lambda item: item[1]), strict=True)
    again, same = zip(*sorted(values_by_place(axial).items(), key=lambda item: item[1]), strict=True)
    assert values == same
    np.testing.assert_allclose(places, again, atol=1e-5)
    assert closest_axes(axial.direction) == [0, 1, 2]
    assert (np.diag(axial.direction) > 0).all()


@given(st.sampled_from(TURNS), st.lists(st.floats(-500, 500), min_size=3, max_size=3))
def test_index_is_the_inverse_of_world(direction: np.ndarray, point: list[float]) -> None:
    of = volume(direction)
    np.testing.assert_allclose(of.to_world(of.to_index(np.array(point))), point, atol=1e-9)
    assert of.to_index(np.zeros((5, 2, 3))).shape == (5, 2, 3)
