"""A series gives the HU that went into it, in the order of its positions, however its files are written."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.data import get_testdata_file
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from data.volumes.dicom import read_series
from data.volumes.reasons import MENDED, Reason, VolumeError
from data.volumes.volume import Volume
from tests.data.volumes.ct_files import body_hu, save, slice_dataset, write_series


def read(paths: list[Path], *accept: Reason) -> Volume:
    return read_series("abcd", tuple(paths), frozenset(accept))


def refused(paths: list[Path], *accept: Reason) -> VolumeError:
    with pytest.raises(VolumeError) as caught:
        read(paths, *accept)
    return caught.value


def by_simpleitk(paths: list[Path]) -> np.ndarray:
    """The other reader's opinion: files sorted by z, which these tests know to be the order."""
    ordered = sorted(paths, key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])
    image = SimpleITK.ReadImage([str(path) for path in ordered])
    return SimpleITK.GetArrayFromImage(image)


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"signed": True, "intercept": 0.0},
        {"signed": True, "bits": 12, "intercept": 0.0},
        {"bits": 12},
        {"slope": 0.5},
        {"syntax": ImplicitVRLittleEndian},
        {"syntax": ExplicitVRBigEndian},
        {"syntax": ExplicitVRBigEndian, "signed": True, "intercept": 0.0},
        {"syntax": RLELossless},
        {"syntax": RLELossless, "signed": True, "bits": 12, "intercept": 0.0},
    ],
    ids=str,
)
def test_hu_are_what_was_written_and_what_simpleitk_reads(tmp_path: Path, written: dict[str, Any]) -> None:
    hu = body_hu()
    paths = write_series(tmp_path, hu, **written)
    volume = read(paths[::2] + paths[1::2])
    np.testing.assert_array_equal(volume.hu, hu)
    np.testing.assert_array_equal(volume.hu, by_simpleitk(paths))
    assert volume.spacing_mm == pytest.approx((0.7, 0.8, 2.0))
    assert volume.notes == ()


def test_every_voxel_lies_where_simpleitk_says(tmp_path: Path) -> None:
    turned = (0.0, -1.0, 0.0, 0.0, 0.0, -1.0)  # sagittal, both image axes reversed
    paths = write_series(tmp_path, body_hu(), orientation=turned, step=(1.0, 0.0, 0.0))
    volume = read(paths)
    image = SimpleITK.ReadImage([str(path) for path in paths])
    for index in [(0, 0, 0), (3, 7, 2), (19, 15, 5)]:
        world = image.TransformContinuousIndexToPhysicalPoint([float(value) for value in index])
        np.testing.assert_allclose(volume.to_world(np.array(index)), world, atol=1e-4)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_jpeg_family_written_by_gdcm(tmp_path: Path, compressor: str) -> None:
    hu = body_hu((3, 32, 32))
    paths = write_series(tmp_path / "plain", hu, signed=True, intercept=0.0)
    for path in paths:
        plain = SimpleITK.ReadImage(str(path))
        writer = SimpleITK.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(path.with_name(f"c{path.name}")))
        writer.Execute(plain)
    packed = [path.with_name(f"c{path.name}") for path in paths]
    assert pydicom.dcmread(packed[0]).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read(packed).hu, hu)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_a_picture_that_says_it_is_huge_never_reaches_the_decoder(tmp_path: Path, compressor: str) -> None:
    path = write_series(tmp_path, body_hu((1, 32, 48)), signed=True, intercept=0.0)[0]
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.SetFileName(str(path))
    writer.Execute(SimpleITK.ReadImage(str(path)))
    raw = path.read_bytes()
    sizes = {"JPEG": (">HH", (32, 48), (65000, 65000)), "JPEG2000": (">II", (48, 32), (60000, 60000))}
    form, true, false = sizes[compressor]
    assert raw.count(struct.pack(form, *true)) >= 1
    path.write_bytes(raw.replace(struct.pack(form, *true), struct.pack(form, *false)))
    assert refused([path]).reason == Reason.CORRUPT


def test_jpeg_ls_of_another_encoder(tmp_path: Path) -> None:
    packed = pydicom.dcmread(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False))
    assert packed.file_meta.TransferSyntaxUID == JPEGLSLossless
    wanted = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(packed.filename)))[0]
    like = slice_dataset(np.zeros((64, 64), np.int16), (0.0, 0.0, 0.0), "1.2", signed=True, slope=2.0, intercept=-7.0)
    like.PixelData = packed.PixelData
    like["PixelData"].VR = "OB"
    like["PixelData"].is_undefined_length = True
    like.file_meta.TransferSyntaxUID = JPEGLSLossless
    save(like, tmp_path / "1.dcm")
    np.testing.assert_array_equal(read([tmp_path / "1.dcm"]).hu[0], wanted * 2 - 7)


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_file_without_preamble(tmp_path: Path, syntax: str | None) -> None:
    hu = body_hu()
    more = {} if syntax is None else {"syntax": syntax}
    np.testing.assert_array_equal(read(write_series(tmp_path, hu, preamble=False, **more)).hu, hu)


def test_slope_is_of_each_slice(tmp_path: Path) -> None:
    hu = body_hu() // 4 * 4
    np.testing.assert_array_equal(read(write_series(tmp_path, hu, each={0: {"slope": 2.0}, 4: {"slope": 4.0}})).hu, hu)


def test_padding_becomes_air(tmp_path: Path) -> None:
    hu = body_hu()
    hu[:, :2] = -2000
    paths = write_series(tmp_path, hu, signed=True, intercept=-500.0, tags={"PixelPaddingValue": -1500})
    assert (read(paths).hu == np.where(hu == -2000, -1024, hu)).all()
    limits = {"PixelPaddingValue": -1500, "PixelPaddingRangeLimit": -400}
    paths = write_series(tmp_path, hu, signed=True, intercept=-500.0, tags=limits)
    assert (read(paths).hu == np.where(hu <= -900, -1024, hu)).all()


def test_a_padding_value_that_is_water_is_no_padding(tmp_path: Path) -> None:
    hu = body_hu()
    volume = read(write_series(tmp_path, hu, signed=True, intercept=0.0, tags={"PixelPaddingValue": 0}))
    np.testing.assert_array_equal(volume.hu, hu)
    assert "padding" in volume.notes[0]


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "MR"}, Reason.NON_CT),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, Reason.LOCALIZER),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, Reason.SECONDARY_CAPTURE),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, Reason.COLOUR),
        ({"PhotometricInterpretation": "MONOCHROME1"}, Reason.MONOCHROME1),
        ({"NumberOfFrames": 6}, Reason.MULTI_FRAME),
        ({"BurnedInAnnotation": "YES"}, Reason.BURNED_IN),
        ({"RescaleSlope": None}, Reason.NO_RESCALE),
        ({"RescaleIntercept": None}, Reason.NO_RESCALE),
        ({"RescaleSlope": 0}, Reason.NO_RESCALE),
        ({"RescaleType": "MGML"}, Reason.NOT_HU),
        ({"ImagePositionPatient": None}, Reason.NO_GEOMETRY),
        ({"ImageOrientationPatient": None}, Reason.NO_GEOMETRY),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, Reason.NO_GEOMETRY),
        ({"PixelSpacing": None}, Reason.NO_GEOMETRY),
        ({"PixelSpacing": [0, 0]}, Reason.NO_GEOMETRY),
        ({"PixelSpacing": [1e20, 1e20]}, Reason.NO_GEOMETRY),
        ({"BitsStored": 12, "HighBit": 15}, Reason.CORRUPT),
        ({"BitsAllocated": 32}, Reason.UNSUPPORTED),
    ],
    ids=str,
)
def test_each_fault_has_its_name(tmp_path: Path, tags: dict[str, Any], reason: Reason) -> None:
    paths = write_series(tmp_path, body_hu(), tags=tags)
    error = refused(paths)
    assert error.reasons == (reason,)
    assert reason.value in error.lines()[0]
    assert all(len(line) < 400 for line in error.lines())


@pytest.mark.parametrize(
    ("tags", "reason"),
    [({"RescaleType": "MGML"}, Reason.NOT_HU), ({"BurnedInAnnotation": "YES"}, Reason.BURNED_IN)],
    ids=str,
)
def test_an_accepted_fault_is_noted(tmp_path: Path, tags: dict[str, Any], reason: Reason) -> None:
    volume = read(write_series(tmp_path, body_hu(), tags=tags), reason)
    np.testing.assert_array_equal(volume.hu, body_hu())
    assert volume.notes[0].startswith(reason.value)
    assert MENDED[reason] in volume.notes[0]


def test_stored_values_without_rescale_are_hu_only_when_they_look_like_it(tmp_path: Path) -> None:
    hu = body_hu()
    gone = {"RescaleSlope": None, "RescaleIntercept": None}
    paths = write_series(tmp_path / "a", hu, signed=True, intercept=0.0, tags=gone)
    np.testing.assert_array_equal(read(paths, Reason.NO_RESCALE).hu, hu)
    stored = write_series(tmp_path / "b", hu, intercept=-1024.0, tags=gone)
    assert refused(stored, Reason.NO_RESCALE).reasons == (Reason.NOT_HU,)


def test_rescaled_to_something_unspecified_is_hu_only_when_it_looks_like_it(tmp_path: Path) -> None:
    hu = body_hu()
    np.testing.assert_array_equal(read(write_series(tmp_path / "a", hu, tags={"RescaleType": "US"})).hu, hu)
    density = write_series(tmp_path / "b", hu + 1024, tags={"RescaleType": "US"})
    assert refused(density).reasons == (Reason.NOT_HU,)


def test_values_that_have_no_way_to_say_air_are_refused(tmp_path: Path) -> None:
    lost = {"RescaleIntercept": 0, "RescaleType": "HU"}  # the export that lost it says HU all the same
    assert refused(write_series(tmp_path / "a", body_hu(), tags=lost)).reasons == (Reason.NOT_HU,)
    np.testing.assert_array_equal(read(write_series(tmp_path / "b", body_hu(), intercept=0, signed=True)).hu, body_hu())


def test_values_beyond_16_bits_are_refused_or_clipped(tmp_path: Path) -> None:
    hu = body_hu()
    hu[2, 8, 8] = 20000
    paths = write_series(tmp_path, hu, each={2: {"RescaleSlope": 2, "RescaleIntercept": 0}})
    assert refused(paths).reasons == (Reason.OUT_OF_RANGE,)
    assert read(paths, Reason.OUT_OF_RANGE).hu.max() == 32767


def test_slices_of_different_sizes_spacings_and_directions_are_refused(tmp_path: Path) -> None:
    small = write_series(tmp_path / "s", body_hu((1, 8, 20)), origin_mm=(-10, -20, 50))
    paths = write_series(tmp_path / "p", body_hu())
    assert refused(paths + small).reasons == (Reason.INCONSISTENT_SIZE,)
    for tags, reason in [
        ({"PixelSpacing": [0.9, 0.7]}, Reason.INCONSISTENT_SPACING),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}, Reason.INCONSISTENT_ORIENTATION),
        ({"ImagePositionPatient": [5, -20, 34]}, Reason.NOT_IN_LINE),
    ]:
        assert refused(write_series(tmp_path / "q", body_hu(), each={2: tags})).reasons == (reason,)


def test_a_slice_there_twice_is_dropped_unless_it_differs(tmp_path: Path) -> None:
    hu = body_hu()
    paths = write_series(tmp_path / "a", hu)
    copy = write_series(tmp_path / "b", hu)[3]
    volume = read([copy, *paths])
    np.testing.assert_array_equal(volume.hu, hu)
    assert volume.notes[0].startswith("duplicate_slices: 1 slices")
    other = write_series(tmp_path / "c", body_hu(seed=1))[3]
    assert refused([other, *paths]).reasons == (Reason.DUPLICATE_SLICES,)


def test_missing_slices_are_refused_or_filled_by_their_neighbours(tmp_path: Path) -> None:
    hu = body_hu((8, 16, 20))
    hu[4] = (hu[3].astype(int) + hu[5]) // 2 * 1
    paths = write_series(tmp_path, hu)
    error = refused(paths[:4] + paths[5:])
    assert error.reasons == (Reason.MISSING_SLICES,)
    assert "1 of 8" in error.why
    volume = read(paths[:4] + paths[5:], Reason.MISSING_SLICES)
    assert np.abs(volume.hu.astype(int) - hu).max() <= 1
    np.testing.assert_array_equal(np.delete(volume.hu, 4, 0), np.delete(hu, 4, 0))
    assert volume.spacing_mm[2] == pytest.approx(2.0)


def test_slices_that_are_there_stay_as_they_are_when_their_positions_were_rounded(tmp_path: Path) -> None:
    hu = body_hu((40, 8, 8))
    there = [k for k in range(40) if k not in (7, 20, 21)]
    volume = read(write_series(tmp_path, hu[there], np.round(np.array(there) * 0.625, 1)), Reason.MISSING_SLICES)
    assert volume.hu.shape == hu.shape
    np.testing.assert_array_equal(volume.hu[there], hu[there])
    assert volume.spacing_mm[2] == pytest.approx(0.625, abs=0.002)


@pytest.mark.parametrize(
    ("tags", "word"), [({"LossyImageCompression": "01"}, "losses"), ({"GantryDetectorTilt": 12}, "tilted")], ids=str
)
def test_what_is_odd_but_harmless_is_noted(tmp_path: Path, tags: dict[str, Any], word: str) -> None:
    volume = read(write_series(tmp_path, body_hu(), tags=tags))
    np.testing.assert_array_equal(volume.hu, body_hu())
    assert word in volume.notes[0]


def test_uneven_slices_are_refused_or_interpolated_by_their_true_places(tmp_path: Path) -> None:
    places = np.array([0, 2, 4, 6, 7.1, 11, 14])
    ramp = (places * 10 - 1000)[:, None, None] + np.zeros((1, 16, 20))
    paths = write_series(tmp_path, ramp.astype(np.int16), places)
    assert refused(paths).reasons == (Reason.UNEVEN_SPACING,)
    assert refused(paths, Reason.MISSING_SLICES).reasons == (Reason.UNEVEN_SPACING,)
    volume = read(paths, Reason.UNEVEN_SPACING)
    # what is linear in space stays linear in space
    np.testing.assert_array_equal(volume.hu[:, 0, 0], np.arange(8) * 20 - 1000)
    assert volume.spacing_mm[2] == pytest.approx(2.0)


def test_a_tilted_gantry_is_refused_or_sheared_back(tmp_path: Path) -> None:
    angle = np.radians(20)
    row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(angle), np.sin(angle)])
    # a field that is linear in the world must come out linear in the world
    origin, spacing = np.array([-10.0, -20.0, 30.0]), (0.8, 0.7)

    def field(points: np.ndarray) -> np.ndarray:
        return points @ np.array([3.0, 5.0, -2.0])

    k, j, i = np.meshgrid(np.arange(8), np.arange(30), np.arange(12), indexing="ij")
    world = origin + k[..., None] * [0, 0, 2.0] + j[..., None] * column * 0.8 + i[..., None] * row * 0.7
    hu = np.rint(field(world)).astype(np.int16)
    paths = write_series(tmp_path, hu, orientation=(*row, *column), pixel_mm=spacing)
    error = refused(paths)
    assert error.reasons == (Reason.GANTRY_TILT,)
    assert "20.0 degrees" in error.why
    volume = read(paths, Reason.GANTRY_TILT)
    np.testing.assert_array_equal(volume.direction, np.eye(3))
    at = volume.to_world(np.stack(np.meshgrid(*map(np.arange, volume.hu.shape), indexing="ij"), -1)[..., ::-1])
    inside = volume.hu > -1000
    inside &= np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1)
    assert inside.mean() > 0.3
    assert np.abs(volume.hu - field(at))[inside].max() <= 1.5


def test_oblique_slices_are_refused_or_laid_onto_an_axial_grid_as_simpleitk_does(tmp_path: Path) -> None:
    angle = np.radians(10)
    row, column = (np.cos(angle), np.sin(angle), 0.0), (-np.sin(angle), np.cos(angle), 0.0)
    paths = write_series(tmp_path, body_hu((4, 24, 20)), orientation=(*row, *column))
    assert refused(paths).reasons == (Reason.OBLIQUE,)
    volume = read(paths, Reason.OBLIQUE)
    image = SimpleITK.ReadImage([str(path) for path in sorted(paths, reverse=True)])
    grid = SimpleITK.Image(*map(int, volume.hu.shape[::-1]), SimpleITK.sitkInt16)
    grid.SetOrigin(volume.origin_mm.tolist())
    grid.SetSpacing(volume.spacing_mm)
    same = SimpleITK.Resample(SimpleITK.Cast(image, SimpleITK.sitkFloat64), grid, SimpleITK.Transform(),
                              SimpleITK.sitkLinear, -5000.0)  # fmt: skip
    wanted = SimpleITK.GetArrayFromImage(same)
    inner = np.all([np.roll(wanted, step, axis) > -4000 for axis in (1, 2) for step in (-1, 0, 1)], axis=0)
    assert inner.mean() > 0.4
    assert np.abs(volume.hu - wanted)[inner].max() <= 0.51


def test_truncated_pixels_are_refused_in_every_syntax(tmp_path: Path) -> None:
    for name, options in [("n", {}), ("r", {"syntax": RLELossless})]:
        paths = write_series(tmp_path / name, body_hu(), **options)
        whole = paths[2].read_bytes()
        for cut in (len(whole) // 2, len(whole) - 400, len(whole) - 9):
            paths[2].write_bytes(whole[:cut])
            assert refused(paths).reason in (Reason.TRUNCATED, Reason.CORRUPT)
