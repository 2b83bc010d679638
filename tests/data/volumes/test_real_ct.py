"""Real CT, where it lies beside the project (or where PATCHCHAIN_DATA says): never shipped, never needed."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from scipy.interpolate import RegularGridInterpolator

from data.volumes.dicom_headers import Header, read_header
from data.volumes.dicom_pixels import read_hu
from data.volumes.discovery import find_volumes
from data.volumes.found import Found
from data.volumes.reading import read_volume
from data.volumes.reasons import Reason, VolumeError

DATA = Path(os.environ.get("PATCHCHAIN_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "ct"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real CT in {DATA}; PATCHCHAIN_DATA names another folder"),
]
MENDED = frozenset({Reason.GANTRY_TILT, Reason.UNEVEN_SPACING})


def ge_series() -> Found:
    (found,) = find_volumes(DATA / "dicom_ge", b"k" * 32, accept=MENDED)
    return found


def nifti(name: str) -> Found:
    (found,) = find_volumes(DATA / "nifti", b"k" * 32, pattern=name)
    return found


@pytest.mark.parametrize("name", ["example_ct.nii.gz", "example_ct_sm.nii.gz"])
def test_nifti_is_voxel_by_voxel_what_simpleitk_and_nibabel_read(name: str) -> None:
    volume = read_volume(nifti(name))
    image = SimpleITK.ReadImage(str(DATA / "nifti" / name))
    np.testing.assert_array_equal(volume.hu, SimpleITK.GetArrayFromImage(image))
    other = nibabel.load(DATA / "nifti" / name)
    np.testing.assert_array_equal(volume.hu, np.rint(other.get_fdata()).T)
    size = np.array(image.GetSize()) - 1
    for index in [(0, 0, 0), tuple(size.tolist()), (60, 50, 11)]:
        world = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(volume.to_world(np.array(index)), world, atol=1e-3)
        ras = (other.affine @ [*index, 1])[:3]
        np.testing.assert_allclose(volume.to_world(np.array(index)), ras * [-1, -1, 1], atol=1e-3)
    axial = volume.oriented()
    np.testing.assert_allclose(axial.direction, np.eye(3), atol=1e-6)
    oriented = SimpleITK.DICOMOrient(image, "LPS")
    np.testing.assert_array_equal(axial.hu, SimpleITK.GetArrayFromImage(oriented))
    np.testing.assert_allclose(axial.origin_mm, oriented.GetOrigin(), atol=1e-3)


def test_a_label_map_is_not_taken_for_hu() -> None:
    with pytest.raises(VolumeError) as caught:
        read_volume(nifti("example_seg.nii.gz"))
    assert caught.value.reasons == (Reason.NOT_HU,)


def test_the_uneven_spacing_and_the_tilt_of_the_ge_series_are_named() -> None:
    (found,) = find_volumes(DATA / "dicom_ge", b"k" * 32)
    assert found.refusal is not None
    assert found.refusal.reasons == (Reason.GANTRY_TILT, Reason.UNEVEN_SPACING)
    assert "18.5 degrees" in found.refusal.why
    assert "1.14 to 7.38 mm apart" in found.refusal.why
    for accepted, left in [(Reason.GANTRY_TILT, Reason.UNEVEN_SPACING), (Reason.UNEVEN_SPACING, Reason.GANTRY_TILT)]:
        with pytest.raises(VolumeError) as caught:
            read_volume(found, frozenset({accepted}))
        assert caught.value.reasons == (left,)


def test_each_slice_of_the_ge_series_is_voxel_by_voxel_what_others_read() -> None:
    # one slice at a time has neither tilt nor spacing; the order is tested by the whole series below
    found = ge_series()
    zs = [float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2]) for path in found.paths]
    assert zs == sorted(zs)
    assert len(zs) == 28
    for path in found.paths:
        header = read_header(path)
        assert isinstance(header, Header)
        hu = read_hu(header)
        image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
        ds = pydicom.dcmread(path)
        stored = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        np.testing.assert_array_equal(image, stored)
        # the padding value, -1500 here, becomes air; every other voxel is equal
        np.testing.assert_array_equal(hu, np.where(image == ds.PixelPaddingValue, -1024, image))


def test_the_mended_ge_series_has_the_values_of_its_slices_at_their_true_places() -> None:
    found = ge_series()
    volume = read_volume(found, MENDED)
    np.testing.assert_array_equal(volume.direction, np.eye(3))
    assert volume.spacing_mm == pytest.approx((0.4882812, 0.4882812, 4.22), abs=1e-4)
    assert len(volume.notes) == 2
    # the oracle interpolates between the tilted slices themselves, wherever they lie, in their own coordinates
    slices = [pydicom.dcmread(path) for path in found.paths]
    pixels = np.stack([ds.pixel_array.astype(float) for ds in slices])
    pixels[pixels == slices[0].PixelPaddingValue] = -1024
    origin = np.array(slices[0].ImagePositionPatient, float)
    column = np.array(slices[0].ImageOrientationPatient[3:], float)
    heights = np.array([float(ds.ImagePositionPatient[2]) for ds in slices]) - origin[2]
    pixel = 0.4882812
    oracle = RegularGridInterpolator((heights, np.arange(512) * pixel, np.arange(512) * pixel), pixels,
                                     bounds_error=False)  # fmt: skip
    rng = np.random.default_rng(0)
    index = rng.integers(0, volume.hu.shape[::-1], (200_000, 3))
    offset = volume.to_world(index) - origin
    row = offset[:, 1] / column[1]
    wanted = oracle(np.stack([offset[:, 2] - row * column[2], row, offset[:, 0]], -1))
    got = volume.hu[tuple(index.T[::-1])]
    height = offset[:, 2] - row * column[2]
    # below the change of spacing every slice is on the regular grid: the same interpolation, rounded twice
    even = ~np.isnan(wanted) & (height < heights[12])
    assert even.sum() > 20_000
    assert np.abs(got - wanted)[even].max() <= 1.5
    # above it slices were first laid onto the grid of 4.22 mm, between slices 7.38 mm apart
    uneven = ~np.isnan(wanted) & (height > heights[15])
    assert np.abs(got - wanted)[uneven].mean() < 15
    assert (got[np.isnan(wanted)] >= -1100).all()
