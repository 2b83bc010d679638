"""Places: a nodule at a world point is in the middle of its patch, whatever way the scan lies."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ChainError
from data.volumes.config import Grid
from data.volumes.label_map import LabelMap
from data.volumes.lattice import Lattice
from data.volumes.placing import grid_places, point_places
from data.volumes.points import Point
from data.volumes.sampling import Sampler
from data.volumes.volume import Volume

ORIENTATIONS = [
    np.eye(3)[:, list(order)] * np.array(signs)
    for order in permutations(range(3))
    for signs in product((1.0, -1.0), repeat=3)
]


def drawn(direction, spacing, origin, nodules, shape=(34, 36, 38)):
    """A volume of air with round soft nodules at world points, each voxel drawn by its own world place."""
    z, y, x = np.indices(shape)
    world = (np.stack([x, y, z], -1) * spacing) @ direction.T + origin
    hu = np.full(shape, -1000.0)
    for centre in nodules:
        # a Gaussian wider than the voxels: its centre of mass survives sampling
        hu += 3000 * np.exp(-((world - centre) ** 2).sum(-1) / (2 * 1.5**2))
    return Volume(np.rint(hu).astype(np.int16), tuple(spacing), np.asarray(origin, float), direction)


def centre_of(patch: np.ndarray) -> np.ndarray:
    """Rows, columns, slices from the middle of the patch, of what is bright."""
    weight = (patch.astype(float) + 1000).clip(0)  # air beyond the volume is 24 HU less than the drawn air
    places = [np.arange(n) - (n - 1) / 2 for n in patch.shape]
    return np.array([np.tensordot(weight.sum(tuple({0, 1, 2} - {axis})), p, 1) for axis, p in enumerate(places)]) / (
        weight.sum()
    )


def test_there_are_48_orientations():
    assert len({tuple(d.ravel()) for d in ORIENTATIONS}) == 48


@settings(max_examples=20, deadline=None)
@given(
    orientations=st.lists(st.sampled_from(range(48)), min_size=3, max_size=3, unique=True),
    spacing=st.tuples(*[st.floats(0.6, 1.6)] * 3),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
    off=st.tuples(*[st.floats(-2, 2)] * 3),
    size=st.sampled_from([20, 21]),
)
def test_a_nodule_lies_in_the_middle_of_its_patch(orientations, spacing, origin, off, size):
    for number in orientations:
        check_nodule(ORIENTATIONS[number], np.array(spacing), np.array(origin), np.array(off), size)


@pytest.mark.parametrize("number", range(48))
def test_in_each_orientation_left_is_right_and_the_head_is_last(number):
    check_nodule(ORIENTATIONS[number], np.array([0.8, 1.0, 1.3]), np.array([-120.0, 55.5, 900.25]), np.zeros(3), 20)


def test_a_scan_a_fraction_of_a_degree_off_its_axes_keeps_its_points():
    tilt = np.radians(0.4)
    turned = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    check_nodule(turned @ ORIENTATIONS[13], np.array([1.1, 0.9, 1.2]), np.array([300.0, -200, 50]), np.ones(3), 20)


def check_nodule(direction, spacing, origin, off, size):
    middle = origin + direction @ (spacing * (np.array([38, 36, 34]) - 1) / 2)
    nodule = middle + off
    lattice = Lattice(size, size - 2, 0.9, 0.9)
    point = Point(tuple(nodule[::-1]), "")
    patches = []
    for aside in (None, [2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]):
        centre = nodule if aside is None else nodule + aside
        volume = drawn(direction, spacing, origin, [centre]).oriented()
        (place,) = point_places(volume, lattice, [point])
        assert not place.refusal
        assert np.allclose(volume.to_world(place.centre_mm / volume.spacing_mm), nodule, atol=1e-6)
        sampler = Sampler(volume.hu, volume.spacing_mm, lattice, smooth=False)
        patches.append(centre_of(sampler.patch(place.centre_mm)[0]) * 0.9)
    here, left, back, head = patches
    assert np.abs(here).max() < 0.1, "mm from the middle"
    # rows go to the back, columns to the patient's left, slices to the head
    assert np.allclose(left, [0, 2, 0], atol=0.1)
    assert np.allclose(back, [2, 0, 0], atol=0.1)
    assert np.allclose(head, [0, 0, 2], atol=0.1)


def test_a_point_outside_the_volume_is_refused_by_its_distance():
    volume = drawn(np.eye(3), np.ones(3), np.zeros(3), [])
    inside, edge, outside = point_places(
        volume,
        Lattice(4, 1, 1.0, None),
        [Point((5.0, 5.0, 37.4), ""), Point((-0.5, 0, 0), ""), Point((5, -13.5, 5), "")],
    )
    assert (inside.refusal, edge.refusal) == ("", "")
    assert "13.0 mm outside" in outside.refusal
    assert edge.centre_mm[2] == 0, "the nearest slice as scanned"


def places(where, volume, lattice, region=None):
    return grid_places(where, volume, lattice, region, "v-1", lambda done, of: None)


def test_a_grid_in_a_region_keeps_exactly_the_patches_with_enough_of_it():
    volume = drawn(np.eye(3), np.array([1.0, 1.0, 2.0]), np.zeros(3), [])
    wanted = (np.random.default_rng(0).random(volume.hu.shape) < 0.5).astype(np.uint8)
    lattice = Lattice(6, 2, 1.0, 2.0)
    every = places(Grid(kind="grid", stride_mm=6, stride_z_mm=4, region="volume"), volume, lattice)
    some = places(
        Grid(kind="grid", stride_mm=6, stride_z_mm=4, region="body", min_share=0.5), volume, lattice,
        LabelMap(wanted, volume.spacing_mm),
    )  # fmt: skip
    expected = {}
    for place in every:
        x, y, z = (np.array(place.centre_mm) / volume.spacing_mm + 0.5 - [3, 3, 1]).round().astype(int)
        share = wanted[z : z + 2, y : y + 6, x : x + 6].mean()
        if share >= 0.5:
            expected[place.key] = share
    assert {place.key: place.region for place in some} == pytest.approx(expected)
    assert 0 < len(some) < len(every) == 6 * 6 * 17


def test_a_volume_smaller_than_a_patch_and_an_empty_region_are_refused_by_name():
    volume = drawn(np.eye(3), np.ones(3), np.zeros(3), [])
    with pytest.raises(ChainError, match="v-1 is smaller than one patch") as caught:
        places(Grid(kind="grid", stride_mm=6, region="volume"), volume, Lattice(64, 1, 1.0, None))
    assert "38.0 x 36.0 x 34.0 mm" in caught.value.why
    nothing = LabelMap(np.zeros(volume.hu.shape, np.uint8), volume.spacing_mm)
    with pytest.raises(ChainError, match="v-1 gives no patch"):
        places(Grid(kind="grid", stride_mm=6), volume, Lattice(8, 1, 1.0, None), nothing)
