"""A patch is what an independent resampler gives at the same places, and its centre is where it was asked for."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from data.volumes.lattice import Lattice, grid_mm
from data.volumes.sampling import Sampler, smoothed
from data.volumes.volume import AIR_HU

SPACING = st.tuples(*[st.floats(0.4, 3.0)] * 3)


def noise(shape=(9, 11, 13), seed=0):
    return np.random.default_rng(seed).integers(-1024, 3000, shape).astype(np.int16)


def by_sitk(hu, spacing, lattice, centre):
    """The same lattice as SimpleITK resamples it, in float, before rounding: (S, S, D)."""
    image = sitk.GetImageFromArray(hu.astype(np.float64))
    image.SetSpacing(spacing)
    first = [axis[0] for axis in lattice.places_mm(np.asarray(centre))]
    to = sitk.ResampleImageFilter()
    to.SetSize([lattice.size_px, lattice.size_px, lattice.depth])
    to.SetOutputSpacing([lattice.spacing_mm, lattice.spacing_mm, lattice.slice_mm or 1.0])
    to.SetOutputOrigin(first)
    to.SetInterpolator(sitk.sitkLinear)
    to.SetDefaultPixelValue(AIR_HU)
    return sitk.GetArrayFromImage(to.Execute(image)).transpose(1, 2, 0)


@settings(max_examples=60, deadline=None)
@given(
    spacing=SPACING,
    size=st.integers(1, 8),
    depth=st.integers(1, 6),
    step=st.floats(0.3, 4.0),
    slice_mm=st.floats(0.3, 4.0),
    at=st.tuples(*[st.floats(-0.2, 1.2)] * 3),
)
def test_a_patch_is_simpleitks_resampling_of_the_same_places(spacing, size, depth, step, slice_mm, at):
    hu = noise()
    centre = [a * n * s for a, n, s in zip(at, hu.shape[::-1], spacing, strict=True)]
    lattice = Lattice(size, depth, step, slice_mm)
    places = lattice.places_mm(np.array(centre))
    for axis, n, s in zip(places, hu.shape[::-1], spacing, strict=True):
        if (np.minimum(abs(axis / s + 0.5), abs(axis / s - n + 0.5)) < 1e-4).any():
            return  # on the very border either answer is right
    patch, outside = Sampler(hu, spacing, lattice, smooth=False).patch(np.array(centre))
    oracle = by_sitk(hu, spacing, lattice, centre)
    assert patch.dtype == np.int16
    assert patch.shape == (size, size, depth)
    assert np.abs(patch - oracle).max() <= 0.51
    border = np.ones_like(oracle, bool)
    for axis, n, s, shape in zip(places, hu.shape[::-1], spacing, ((1, -1, 1), (-1, 1, 1), (1, 1, -1)), strict=True):
        border &= ((axis / s >= -0.5) & (axis / s <= n - 0.5)).reshape(shape)
    assert outside == pytest.approx(1 - border.mean())


def test_voxels_at_their_own_places_come_back_unchanged():
    hu = noise((5, 8, 8))
    patch, outside = Sampler(hu, (0.7, 0.7, 2.5), Lattice(8, 5, 0.7, 2.5)).patch(np.array([3.5 * 0.7, 3.5 * 0.7, 5.0]))
    assert np.array_equal(patch, hu.transpose(1, 2, 0))
    assert outside == 0


def test_the_channels_of_a_thick_patch_are_the_slices_around_it():
    hu, spacing = noise(), (0.8, 1.1, 1.7)
    thick = Sampler(hu, spacing, Lattice(5, 5, 0.6, 1.3)).patch(np.array([5.0, 5.0, 7.0]))[0]
    for channel, i in enumerate(range(-2, 3)):
        one = Sampler(hu, spacing, Lattice(5, 1, 0.6, 1.3)).patch(np.array([5.0, 5.0, 7.0 + i * 1.3]))[0]
        assert np.array_equal(thick[:, :, channel], one[:, :, 0])


def test_a_slice_as_scanned_is_the_nearest_one_without_interpolation():
    lattice = Lattice(3, 1, 1.0, None)
    centre = lattice.placed(np.array([4.0, 4.0, 7.4]), 2.0, 9)
    assert centre.tolist() == [4.0, 4.0, 8.0]
    assert lattice.placed(np.array([4.0, 4.0, 99.0]), 2.0, 9)[2] == 16.0
    hu = noise()
    patch, _ = Sampler(hu, (1.0, 1.0, 2.0), lattice).patch(centre)
    assert np.array_equal(patch[:, :, 0], hu[4, 3:6, 3:6])


def test_a_pattern_finer_than_the_samples_becomes_its_mean():
    hu = (np.indices((12, 12, 12)).sum(0) % 2 * 1000).astype(np.int16)
    lattice = Lattice(3, 3, 3.0, 3.0)
    sharp, _ = Sampler(hu, (1.0, 1.0, 1.0), lattice, smooth=False).patch(np.full(3, 5.0))
    soft, _ = Sampler(hu, (1.0, 1.0, 1.0), lattice).patch(np.full(3, 5.0))
    assert np.ptp(sharp) == 1000
    assert np.abs(soft - 500).max() < 5


def test_smoothing_widens_a_voxel_to_a_sample_and_leaves_finer_axes_alone():
    hu = np.zeros((21, 31, 31), np.int16)
    hu[10, 15, 15] = 32_000
    lattice = Lattice(4, 1, 2.5, None)
    spread = smoothed(hu, (1.0, 1.0, 1.0), lattice).astype(np.float64)
    assert spread.sum() == pytest.approx(32_000, rel=1e-3)
    for axis, variance in enumerate((0.0, *[(2.5**2 - 1) / (8 * np.log(2))] * 2)):
        profile = spread.sum(tuple({0, 1, 2} - {axis})) / 32_000
        places = np.arange(len(profile)) - len(profile) // 2
        assert (profile * places**2).sum() == pytest.approx(variance, abs=0.01)
    assert smoothed(hu, (2.5, 2.5, 1.0), lattice) is hu


@pytest.mark.parametrize("rows", [3, 64, 65, 150])
def test_smoothing_by_bands_is_smoothing_the_whole(rows):
    hu, lattice = noise((9, rows, 20)), Lattice(4, 2, 3.0, 2.0)
    whole = hu.astype(np.float32)
    for axis, ratio in enumerate((2.0, 3.0 / 0.8, 3.0)):
        whole = gaussian_filter1d(whole, np.sqrt((ratio**2 - 1) / (8 * np.log(2))), axis, mode="nearest")
    ours = smoothed(hu, (1.0, 0.8, 1.0), lattice)
    assert np.array_equal(ours, np.rint(whole))
    assert np.array_equal(ours, smoothed(hu, (1.0, 0.8, 1.0), lattice, threads=3))


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    spacing=SPACING,
    size=st.integers(1, 20),
    depth=st.integers(1, 8),
    step=st.floats(0.3, 3.0),
    slice_mm=st.one_of(st.none(), st.floats(0.3, 3.0)),
    stride=st.floats(0.5, 20.0),
)
def test_a_grid_never_leaves_the_volume_and_no_patch_more_fits(shape, spacing, size, depth, step, slice_mm, stride):
    lattice = Lattice(size, 1 if slice_mm is None else depth, step, slice_mm)
    axes = grid_mm(shape, spacing, lattice, (stride, stride, stride))
    for axis, n, s, extent in zip(axes, shape[::-1], spacing, lattice.extent_mm(), strict=True):
        as_scanned = extent == 0.0
        room = (n - 1) * s if as_scanned else n * s - extent
        if room < -1e-6:
            assert not len(axis)
            continue
        assert len(axis) >= 1
        margin = 0.5 if as_scanned else 0.0  # the half voxel that a slice as scanned has around it
        assert axis[0] - extent / 2 >= (-0.5 + margin) * s - 1e-5
        assert axis[-1] + extent / 2 <= (n - 0.5 - margin) * s + 1e-5
        if as_scanned:
            assert np.allclose(axis / s, np.rint(axis / s))
        else:
            assert np.allclose(np.diff(axis), stride)
            assert (len(axis) - 1) * stride <= room + 1e-5 < len(axis) * stride + 2e-5
    if all(map(len, axes)):
        hu = np.zeros(shape, np.int16)
        sampler = Sampler(hu, spacing, lattice, smooth=False)
        for corner in ([a[0] for a in axes], [a[-1] for a in axes]):
            assert sampler.patch(np.array(corner))[1] == 0
