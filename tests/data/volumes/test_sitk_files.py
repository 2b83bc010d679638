"""NIfTI, MHA, MHD and NRRD give what SimpleITK (and nibabel) reads, or are refused by name."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from data.volumes.found import Kind
from data.volumes.reasons import Reason, VolumeError
from data.volumes.sitk_files import kind_of, read_file
from data.volumes.volume import Volume
from tests.data.volumes.ct_files import body_hu

LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0])


def image(hu: np.ndarray | None = None, direction: np.ndarray | None = None) -> SimpleITK.Image:
    made = SimpleITK.GetImageFromArray(body_hu() if hu is None else hu)
    made.SetSpacing((0.7, 0.8, 2.5))
    made.SetOrigin((-100.5, 20.25, -300.0))
    if direction is not None:
        made.SetDirection(direction.ravel().tolist())
    return made


def written(path: Path, made: SimpleITK.Image | None = None, packed: bool = False) -> Path:
    SimpleITK.WriteImage(made or image(), str(path), packed)
    return path


def read(path: Path, *accept: Reason) -> Volume:
    kind = kind_of(path.name)
    assert kind is not None
    return read_file("abcd", path, kind, frozenset(accept))


def refused(path: Path, *accept: Reason) -> VolumeError:
    with pytest.raises(VolumeError) as caught:
        read(path, *accept)
    return caught.value


FORMS = ["a.nii", "a.nii.gz", "a.mha", "a.mhd", "a.nrrd"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_every_form_and_type_gives_the_same_volume(tmp_path: Path, name: str, packed: bool, kind: type) -> None:
    turned = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    made = image(body_hu().astype(kind), turned)
    volume = read(written(tmp_path / name, made, packed))
    np.testing.assert_array_equal(volume.hu, body_hu())
    for index in [(0, 0, 0), (3, 7, 2), (19, 15, 5)]:
        wanted = made.TransformContinuousIndexToPhysicalPoint([float(value) for value in index])
        np.testing.assert_allclose(volume.to_world(np.array(index)), wanted, atol=1e-3)


def test_nifti_is_what_nibabel_reads_with_its_slope(tmp_path: Path) -> None:
    stored = (body_hu() + 1000).astype(np.int16).T
    affine = np.array([[-0.7, 0, 0, 90], [0, 0.8, 0, -30], [0, 0, 2.5, 12], [0, 0, 0, 1.0]])
    made = nibabel.Nifti1Image(stored, affine)
    made.header.set_slope_inter(2.0, -1200.0)
    # nibabel keeps slope and intercept only of what it writes itself
    nibabel.save(made, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<2f", raw, 112, 2.0, -1200.0)
    raw[-stored.nbytes :] = stored.tobytes("F")
    (tmp_path / "a.nii").write_bytes(raw)
    other = nibabel.load(tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume.hu, np.rint(other.get_fdata()).T)
    for index in [(0, 0, 0), (4, 9, 3)]:
        world = LPS_OF_RAS @ (other.affine @ [*index, 1])[:3]
        np.testing.assert_allclose(volume.to_world(np.array(index)), world, atol=1e-4)


def test_big_endian_is_read_and_nifti_2_is_not(tmp_path: Path) -> None:
    affine = np.diag([1.0, 1, 2, 1])
    nibabel.save(nibabel.Nifti1Image(body_hu().T, affine, nibabel.Nifti1Header(endianness=">")), tmp_path / "b.nii")
    assert (tmp_path / "b.nii").read_bytes()[:4] == struct.pack(">i", 348)
    np.testing.assert_array_equal(read(tmp_path / "b.nii").hu, body_hu())
    nibabel.save(nibabel.Nifti2Image(body_hu().T, affine), tmp_path / "two.nii")
    assert refused(tmp_path / "two.nii").reason == Reason.UNSUPPORTED


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.abs(body_hu() // 8).astype(np.uint8), Reason.NOT_HU),
        (body_hu() + 1024, Reason.NOT_HU),
        (np.where(np.arange(20) < 2, -2000, body_hu() + 1024).astype(np.int16), Reason.NOT_HU),
        (body_hu().astype(np.float32) / 1000, Reason.NOT_HU),
        (np.full((6, 16, 20), -1000, np.int16), Reason.NOT_HU),
        (np.where(np.arange(6)[:, None, None] == 2, np.nan, body_hu()), Reason.NON_FINITE),
        (np.where(np.arange(6)[:, None, None] == 2, 40000, body_hu().astype(np.int32)), Reason.OUT_OF_RANGE),
        (np.where(np.arange(6)[:, None, None] == 2, 1e30, body_hu()), Reason.OUT_OF_RANGE),
    ],
    ids=["bytes", "positive", "positive beside padding", "scaled", "air", "nan", "metal", "huge"],
)
def test_values_that_are_not_hu_are_refused_or_taken_as_told(
    tmp_path: Path, name: str, values: np.ndarray, reason: Reason
) -> None:
    path = written(tmp_path / name, image(values))
    assert refused(path).reasons == (reason,)
    volume = read(path, reason)
    assert volume.notes[0].startswith(reason.value)
    wanted = np.where(np.isfinite(values), values, -1024)
    np.testing.assert_array_equal(volume.hu, np.clip(np.rint(wanted), -32768, 32767))


def test_padding_beside_hu_is_no_fault(tmp_path: Path) -> None:
    values = np.where(np.arange(20) < 2, -3024, body_hu()).astype(np.int16)
    np.testing.assert_array_equal(read(written(tmp_path / "a.nii.gz", image(values))).hu, values)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_cut_file_is_truncated_wherever_it_is_cut(tmp_path: Path, name: str, packed: bool) -> None:
    path = written(tmp_path / name, packed=packed)
    data = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    whole = data.read_bytes()
    for cut in (1, 4, 9, len(whole) // 3, len(whole) // 2):
        data.write_bytes(whole[:-cut])
        assert refused(path).reason in (Reason.TRUNCATED, Reason.CORRUPT), cut
    data.write_bytes(b"")
    assert refused(path).reason in (Reason.TRUNCATED, Reason.CORRUPT)


def test_a_flipped_bit_in_packed_voxels_is_found(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nii.gz")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)
    assert refused(path).reason in (Reason.TRUNCATED, Reason.CORRUPT)


@pytest.mark.parametrize("name", ["a.nii", "a.mha", "a.nrrd"])
def test_several_volumes_and_colours_are_refused(tmp_path: Path, name: str) -> None:
    several = SimpleITK.JoinSeries([image(), image()])
    assert refused(written(tmp_path / name, several)).reason in (Reason.TIME_SERIES,)
    colour = SimpleITK.Compose([SimpleITK.Cast(image(), SimpleITK.sitkUInt8)] * 3)
    assert refused(written(tmp_path / f"c{name}", colour)).reason in (Reason.COLOUR, Reason.TIME_SERIES)
    assert refused(written(tmp_path / f"f{name}", image()[:, :, 2])).reason == Reason.NO_GEOMETRY


@pytest.mark.parametrize("name", FORMS)
def test_oblique_axes_are_refused_or_resampled(tmp_path: Path, name: str) -> None:
    c, s = np.cos(0.2), np.sin(0.2)
    path = written(tmp_path / name, image(direction=np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])))
    assert refused(path).reasons == (Reason.OBLIQUE,)
    volume = read(path, Reason.OBLIQUE)
    np.testing.assert_array_equal(volume.direction, np.eye(3))
    assert "linear interpolation" in volume.notes[0]


def test_axes_at_no_right_angle_are_oblique_however_long_the_file_says_they_are(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mha")
    path.write_bytes(path.read_bytes().replace(b"TransformMatrix = 1 0 0 0 1 0", b"TransformMatrix = 1 0.2 0 0 1 0"))
    assert b"0.2" in path.read_bytes()
    assert refused(path).reasons == (Reason.OBLIQUE,)


@pytest.mark.parametrize("field", [b"Slope = 2", b"Offset = -1024"])
def test_a_metaimage_of_scaled_values_is_refused_for_itk_gives_them_unscaled(tmp_path: Path, field: bytes) -> None:
    path = written(tmp_path / "a.mha")
    head, _, voxels = path.read_bytes().partition(b"ElementType")
    path.write_bytes(head + b"ElementToIntensityFunction" + field + b"\nElementType" + voxels)
    assert refused(path).reasons == (Reason.UNSUPPORTED,)
    path.write_bytes(head + b"ElementToIntensityFunctionSlope = 1.0\nElementType" + voxels)
    np.testing.assert_array_equal(read(path).hu, body_hu())


def test_nifti_without_orientation_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    struct.pack_into("<2h", raw, 252, 0, 0)
    path.write_bytes(raw)
    assert refused(path).reasons == (Reason.NO_ORIENTATION,)
    np.testing.assert_array_equal(read(path, Reason.NO_ORIENTATION).hu, body_hu())


def test_orientations_that_disagree_are_noted_and_simpleitks_is_taken(tmp_path: Path) -> None:
    made = nibabel.Nifti1Image(body_hu().T, np.diag([1.0, 1, 2, 1]))
    made.set_sform(np.array([[1.0, 0, 0, 50], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]), 1)
    made.set_qform(np.diag([1.0, 1, 2, 1]), 1)
    nibabel.save(made, tmp_path / "a.nii.gz")
    volume = read(tmp_path / "a.nii.gz")
    wanted = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz")).GetOrigin()
    np.testing.assert_allclose(volume.origin_mm, wanted, atol=1e-4)
    assert "50.0 mm apart" in volume.notes[0]
    # nibabel's affine of the same quaternion is the oracle of ours: a turned one agrees with itself
    c, s = np.cos(0.01), np.sin(0.01)
    made.set_sform(np.array([[-c, s, 0, 5], [s, c, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1.0]]), 1)
    made.set_qform(made.get_sform(), 1)
    nibabel.save(made, tmp_path / "b.nii.gz")
    assert read(tmp_path / "b.nii.gz").notes == ()


def test_nrrd_without_space_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nrrd")
    path.write_bytes(path.read_bytes().replace(b"space: left-posterior-superior\n", b"space dimension: 3\n"))
    assert refused(path).reasons == (Reason.NO_ORIENTATION,)


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("a.mhd", b"a.raw", b"../a.raw", Reason.OUTSIDE),
        ("a.mhd", b"a.raw", b"/etc/passwd", Reason.OUTSIDE),
        ("a.mhd", b"a.raw", b"LIST", Reason.UNSUPPORTED),
        ("a.mhd", b"a.raw", b"b.raw", Reason.TRUNCATED),
        ("a.mha", b"DimSize = 20", b"DimSize = 2000000000", Reason.TOO_LARGE),
        ("a.mha", b"DimSize = 20", b"DimSize = 2000", Reason.TRUNCATED),
        ("a.mha", b"DimSize = 20", b"DimSize = -20", Reason.CORRUPT),
        ("a.mha", b"DimSize = 20", b"DimSize = 1e9", Reason.CORRUPT),
        ("a.mha", b"ElementSpacing = 0.69999999999999996", b"ElementSpacing = nan", Reason.CORRUPT),
        ("a.mha", b"ElementSpacing = 0.69999999999999996", b"ElementSpacing = 0", Reason.NO_GEOMETRY),
        ("a.mha", b"ElementSpacing = 0.69999999999999996", b"Comment = 0.7", Reason.NO_GEOMETRY),
        ("a.mha", b"NDims = 3", b"NDims = 4", Reason.CORRUPT),
        ("a.mha", b"NDims = 3", b"NDims = 3\nNDims = 3", Reason.CORRUPT),
        ("a.nrrd", b"encoding: gzip", b"data file: /etc/passwd\nencoding: raw", Reason.UNSUPPORTED),
        ("a.nrrd", b"encoding: gzip", b"encoding: hex", Reason.UNSUPPORTED),
        ("a.nrrd", b"sizes: 20", b"sizes: 2000", Reason.TRUNCATED),
        ("a.nrrd", b"sizes: 20", b"sizes: 20000000", Reason.TOO_LARGE),
        ("a.nrrd", b"dimension: 3", b"dimension: 2", Reason.CORRUPT),
        ("a.nrrd", b"type: short", b"type: block", Reason.UNSUPPORTED),
    ],
    ids=str,
)
def test_headers_that_lie_are_refused_before_voxels_are_read(
    tmp_path: Path, name: str, old: bytes, new: bytes, reason: Reason
) -> None:
    path = written(tmp_path / name, packed=name.endswith("nrrd"))
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new, 1))
    assert refused(path).reason == reason


def test_a_linked_data_file_is_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = written(tmp_path / "in" / "a.mhd")
    (tmp_path / "in" / "a.raw").rename(tmp_path / "a.raw")
    (tmp_path / "in" / "a.raw").symlink_to(tmp_path / "a.raw")
    assert refused(path).reason == Reason.OUTSIDE


def _bomb(whole: bytes) -> bytes:
    return gzip.compress(whole + bytes(80 << 20))


def _declared_larger(whole: bytes) -> bytes:
    raw = bytearray(whole)
    struct.pack_into("<3h", raw, 42, 1000, 1000, 900)
    return gzip.compress(raw)


@pytest.mark.parametrize(("pack", "reason"), [(_bomb, Reason.CORRUPT), (_declared_larger, Reason.TRUNCATED)])
def test_a_bomb_is_refused(tmp_path: Path, pack: Callable[[bytes], bytes], reason: Reason) -> None:
    whole = written(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(pack(whole))
    assert refused(tmp_path / "b.nii.gz").reason == reason


def test_a_gzip_file_of_several_members_is_one_file(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(whole[:1000]) + gzip.compress(whole[1000:]))
    np.testing.assert_array_equal(read(tmp_path / "b.nii.gz").hu, body_hu())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.nii", "nifti"), ("A.NII.GZ", "nifti"), ("1.2.3.mhd", "meta"), ("b.nrrd", "nrrd"), ("b.gz", None)],
)
def test_a_name_promises_a_kind(name: str, kind: Kind | None) -> None:
    assert kind_of(name) == kind
