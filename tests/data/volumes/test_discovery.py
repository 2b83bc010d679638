"""What a folder holds is found whatever its files are called, and each volume once."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage, SecondaryCaptureImageStorage

from data.errors import ChainError, ExitCode
from data.patches.deid import pseudonym
from data.volumes.discovery import find_volumes
from data.volumes.found import Found
from data.volumes.reading import read_volume
from data.volumes.reasons import Reason
from tests.data.volumes.ct_files import body_hu, save, slice_dataset, write_series

KEY = b"k" * 32
SCOUT = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}


def find(path: Path, *accept: Reason, pattern: str = "*") -> list[Found]:
    return find_volumes(path, KEY, pattern, frozenset(accept))


def reasons(found: list[Found]) -> list[str]:
    return sorted(str(one.refusal.reason) for one in found if one.refusal is not None)


def test_two_series_in_one_folder_with_shuffled_names(tmp_path: Path) -> None:
    one, other = body_hu(seed=1), body_hu((4, 16, 20), seed=2)
    paths = [*write_series(tmp_path, one, series="1.1"), *write_series(tmp_path / "x", other, series="1.2")]
    for number, path in enumerate(sorted(paths, key=lambda path: hash((path.name, 7)))):
        shutil.move(path, tmp_path / f"IM{number:04d}")  # no suffix, and an order that means nothing
    found = find(tmp_path)
    assert [volume.pseudonym for volume in found] == sorted(pseudonym(KEY, uid) for uid in ("1.1", "1.2"))
    by_name = {volume.pseudonym: read_volume(volume).hu for volume in found}
    np.testing.assert_array_equal(by_name[pseudonym(KEY, "1.1")], one)
    np.testing.assert_array_equal(by_name[pseudonym(KEY, "1.2")], other)
    assert {volume.patient for volume in found} == {pseudonym(KEY, "P-1")}


def test_paths_are_in_the_order_of_positions(tmp_path: Path) -> None:
    paths = write_series(tmp_path, body_hu())
    assert list(find(tmp_path)[0].paths) == paths  # their names run the other way


def test_a_series_has_the_same_name_and_fingerprint_wherever_it_lies(tmp_path: Path) -> None:
    write_series(tmp_path / "a", body_hu(), name="{:03d}.dcm")
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "c")
    for number, path in enumerate(sorted((tmp_path / "b" / "c").iterdir(), reverse=True)):
        path.rename(path.with_name(f"renamed{number}"))
    one, other = find(tmp_path / "a")[0], find(tmp_path / "b")[0]
    assert (one.pseudonym, one.fingerprint) == (other.pseudonym, other.fingerprint)
    changed = other.paths[3]
    changed.write_bytes(changed.read_bytes()[:-2] + b"\x01\x02")
    assert find(tmp_path / "b")[0].fingerprint != one.fingerprint


def test_files_of_each_form_are_found_with_what_tables_may_call_them(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    made = SimpleITK.GetImageFromArray(body_hu())
    for name in ("case1.nii.gz", "deep/1.2.3.mhd", "c.nrrd", "d.mha"):
        SimpleITK.WriteImage(made, str(tmp_path / name))
    (tmp_path / "d.mha").rename(tmp_path / "d.MHA")
    for name in ("notes.txt", ".hidden.nii", "table.csv", "DICOMDIR", "unknown"):
        (tmp_path / name).write_bytes(b"anything")
    found = find(tmp_path)
    assert sorted(volume.kind for volume in found) == ["meta", "meta", "nifti", "nrrd"]
    deep = next(volume for volume in found if len(volume.paths) == 2)
    assert {path.name for path in deep.paths} == {"1.2.3.mhd", "1.2.3.raw"}
    assert deep.aliases == {pseudonym(KEY, name) for name in ("deep/1.2.3.mhd", "1.2.3.mhd", "1.2.3")}
    for volume in found:
        assert volume.refusal is None
        np.testing.assert_array_equal(read_volume(volume).hu, body_hu())
    assert [volume.kind for volume in find(tmp_path, pattern="case*")] == ["nifti"]
    assert [volume.kind for volume in find(tmp_path, pattern="deep/*")] == ["meta"]
    assert len(find(tmp_path / "case1.nii.gz")) == 1


def test_a_scout_in_the_series_is_set_apart_and_left_out_when_accepted(tmp_path: Path) -> None:
    write_series(tmp_path, body_hu())
    write_series(tmp_path / "s", body_hu((1, 30, 30)), tags=SCOUT)
    write_series(tmp_path / "d", body_hu((2, 8, 8)), tags={"SOPClassUID": SecondaryCaptureImageStorage})
    found = find(tmp_path)
    assert reasons(found) == ["localizer", "secondary_capture"]
    whole = next(volume for volume in found if volume.refusal is None)
    assert whole.pseudonym == pseudonym(KEY, "1.2.3.4")
    np.testing.assert_array_equal(read_volume(whole).hu, body_hu())
    assert len(find(tmp_path, Reason.LOCALIZER, Reason.SECONDARY_CAPTURE)) == 1


def test_reformats_and_phases_under_one_uid_are_volumes_of_their_own(tmp_path: Path) -> None:
    axial, coronal, late = body_hu((7, 16, 20)), body_hu((5, 16, 20), 1), body_hu((6, 16, 20), 2)
    write_series(tmp_path / "a", axial, tags={"AcquisitionNumber": 1})
    write_series(tmp_path / "b", coronal, orientation=(1, 0, 0, 0, 0, -1), step=(0, 1, 0))
    write_series(tmp_path / "c", late, tags={"AcquisitionNumber": 2})
    found = find(tmp_path)
    assert len(found) == len({volume.pseudonym for volume in found}) == 3
    read = {volume.pseudonym: read_volume(volume).hu for volume in found}
    np.testing.assert_array_equal(read[pseudonym(KEY, "1.2.3.4")], axial)  # the largest keeps the series' name
    assert sorted(len(hu) for hu in read.values()) == [5, 6, 7]
    assert find(tmp_path) == found


@pytest.mark.parametrize("other", [{"PatientID": "P-2", "StudyInstanceUID": "1.2.4"}, {"PatientID": "P-2"},
                                   {"PatientID": None, "StudyInstanceUID": "1.2.4"}], ids=str)  # fmt: skip
def test_patients_who_share_a_series_uid_are_volumes_of_their_own(tmp_path: Path, other: dict[str, Any]) -> None:
    one, two = body_hu((7, 16, 20)), body_hu((6, 16, 20), 1)
    write_series(tmp_path, one)
    write_series(tmp_path, two, np.arange(6) * 2.0 + 1, name="x{:03d}.dcm", tags=other)  # between the slices of one
    found = find(tmp_path)
    assert reasons(found) == []
    read = {volume.patient: read_volume(volume).hu for volume in found}
    np.testing.assert_array_equal(read[pseudonym(KEY, "P-1")], one)
    np.testing.assert_array_equal(read[pseudonym(KEY, other["PatientID"] or "1.2.4")], two)
    assert len({volume.pseudonym for volume in found}) == 2
    assert all(pseudonym(KEY, "1.2.3.4") in volume.aliases for volume in found), "a row of that name is ambiguous"
    write_series(tmp_path, body_hu((9, 16, 20), 2), tags=other, name="x{:03d}.dcm")
    first = next(volume for volume in find(tmp_path) if volume.patient == pseudonym(KEY, "P-1"))
    assert first in found, "whatever shares its UID"


def test_a_slice_that_does_not_say_whose_it_is_belongs_to_the_patient_of_its_study(tmp_path: Path) -> None:
    write_series(tmp_path, body_hu(), each={2: {"PatientID": None}, 4: {"PatientID": ""}})
    found = find(tmp_path)
    assert [(volume.pseudonym, volume.patient, len(volume.paths)) for volume in found] == [
        (pseudonym(KEY, "1.2.3.4"), pseudonym(KEY, "P-1"), 6)
    ]


def test_a_series_that_lost_its_patient_is_of_the_patient_of_its_study(tmp_path: Path) -> None:
    nobody, no_study = {"PatientID": None}, {"StudyInstanceUID": None}
    series = {"a": {}, "b": nobody, "c": {"PatientID": "anonymous"}, "d": nobody | {"StudyInstanceUID": "9.9"},
              "f": no_study, "g": nobody | no_study}  # fmt: skip
    for name, tags in series.items():
        write_series(tmp_path / name, body_hu(), series=f"1.{ord(name)}", tags=tags)
    patient = {one.paths[0].parent.name: one.patient for one in find(tmp_path)}
    assert patient["a"] == patient["b"] == patient["c"] == pseudonym(KEY, "P-1")
    assert patient["d"] == pseudonym(KEY, "9.9")
    assert patient["g"] == "", "no study is no study in common"
    write_series(tmp_path / "e", body_hu(), series="1.5", tags={"PatientID": "P-2"})
    patient = {one.paths[0].parent.name: one.patient for one in find(tmp_path)}
    assert patient["b"] == patient["c"] == pseudonym(KEY, "1.2.3"), "of two patients it may be either's"


@pytest.mark.parametrize("nobody", ["unknown", "Anonymous", "ANONYMIZED ", "none", "N/A", "", None])
def test_a_patient_called_nobody_ties_no_studies_together(tmp_path: Path, nobody: str | None) -> None:
    for number in "12":
        tags = {"PatientID": nobody, "StudyInstanceUID": f"1.2.{number}"}
        write_series(tmp_path / number, body_hu(seed=int(number)), series=f"1.{number}", tags=tags)
    patients = {volume.pseudonym: volume.patient for volume in find(tmp_path)}
    assert patients == {pseudonym(KEY, f"1.{number}"): pseudonym(KEY, f"1.2.{number}") for number in "12"}


def test_every_slice_of_its_own_acquisition_is_still_one_volume(tmp_path: Path) -> None:
    write_series(tmp_path, body_hu(), each={k: {"AcquisitionNumber": k} for k in range(6)})
    assert len(find(tmp_path)) == 1


@pytest.mark.parametrize(
    ("each", "reason"),
    [
        ({2: {"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}}, "inconsistent_orientation"),
        ({2: {"PixelSpacing": [0.9, 0.7]}}, "inconsistent_spacing"),
        ({2: {"ImagePositionPatient": None}}, "no_geometry"),
        ({2: {"SliceThickness": None}}, None),
    ],
    ids=str,
)
def test_one_strange_slice_is_named_from_headers_alone(
    tmp_path: Path, each: dict[int, Any], reason: str | None
) -> None:
    write_series(tmp_path, body_hu(), each=each)
    assert reasons(find(tmp_path)) == ([reason] if reason else [])


def test_what_is_accepted_is_no_refusal(tmp_path: Path) -> None:
    write_series(tmp_path, body_hu(), [0, 1, 2, 4, 5.4, 8])
    assert reasons(find(tmp_path)) == ["uneven_spacing"]
    assert reasons(find(tmp_path, Reason.UNEVEN_SPACING)) == []


def test_broken_files_are_refused_beside_good_ones(tmp_path: Path) -> None:
    write_series(tmp_path, body_hu())
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "text.dcm").write_bytes(b"this is no DICOM file, whatever its name says" * 9)
    (tmp_path / "bad.nii.gz").write_bytes(b"\x1f\x8b nonsense")
    (tmp_path / "pair.hdr").write_bytes(bytes(348))
    (tmp_path / "out.nii").symlink_to("/etc/hostname")
    (tmp_path / "dead.dcm").symlink_to(tmp_path / "nowhere")
    found = find(tmp_path)
    assert reasons(found) == ["corrupt", "outside", "truncated", "truncated", "unreadable", "unsupported"]
    assert sum(volume.refusal is None for volume in found) == 1


def test_other_dicom_objects_are_no_volumes_and_a_dicomdir_is_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path, body_hu())
    shutil.copy(get_testdata_file("rtstruct.dcm", download=False), tmp_path / "structures")
    folder = slice_dataset(body_hu()[0], (0.0, 0.0, 0.0), "1.9")
    folder.file_meta.MediaStorageSOPClassUID = folder.SOPClassUID = MediaStorageDirectoryStorage
    save(folder, tmp_path / "IMG0001")
    packed = slice_dataset(body_hu()[0], (0.0, 0.0, 0.0), "1.8", syntax=DeflatedExplicitVRLittleEndian)
    save(packed, tmp_path / "IMG0002")
    assert reasons(find(tmp_path)) == ["non_ct", "unsupported"]
    assert reasons(find(tmp_path, Reason.NON_CT)) == ["unsupported"]


def test_nothing_found_is_66_and_names_no_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "JANE_DOE", tmp_path):
        with pytest.raises(ChainError) as caught:
            find(path)
        assert caught.value.code == ExitCode.MISSING
        assert "JANE" not in " ".join(caught.value.lines())
        assert tmp_path.name not in " ".join(caught.value.lines())


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    write_series(tmp_path, body_hu())
    for name in ("pipe", "pipe.dcm", "pipe.nii"):
        os.mkfifo(tmp_path / name)
    assert len(find(tmp_path)) == 1


def test_links_inside_the_folder_count_once(tmp_path: Path) -> None:
    write_series(tmp_path / "a", body_hu())
    (tmp_path / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    found = find(tmp_path)
    assert [len(volume.paths) for volume in found] == [6]
