import pytest

from data.errors import ChainError, ExitCode
from data.slides.discovery import SUFFIXES, belonging, slide_files


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_every_ending_openslide_opens_whatever_its_case_and_nothing_else(tmp_path):
    names = [f"{i:02}{suffix}" for i, suffix in enumerate(sorted(SUFFIXES - {".dcm"}))]
    touch(tmp_path, *names, "z/A.SVS", "notes.txt", "a.svs.part", ".hidden.svs", ".cache/b.svs", "mask.png")
    assert slide_files(tmp_path, "*") == [*names, "z/A.SVS"]


def test_a_pattern_is_of_the_path_below_the_folder(tmp_path):
    touch(tmp_path, "a/1.svs", "a/2.tif", "b/1.svs")
    assert slide_files(tmp_path, "a/*") == ["a/1.svs", "a/2.tif"]
    assert slide_files(tmp_path, "*.svs") == ["a/1.svs", "b/1.svs"]
    assert slide_files(tmp_path / "a/1.svs", "*") == ["1.svs"]
    with pytest.raises(ChainError, match="holds no slide") as caught:
        slide_files(tmp_path, "c*")
    assert "none matches" in caught.value.why
    assert caught.value.code == ExitCode.MISSING


@pytest.mark.parametrize("there", [True, False])
def test_nothing_found_is_said(tmp_path, there):
    with pytest.raises(ChainError) as caught:
        slide_files(tmp_path if there else tmp_path / "gone", "*")
    assert caught.value.code == ExitCode.MISSING


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    touch(tmp_path, "in/a.svs", "out/b.svs")
    (tmp_path / "in/b.svs").symlink_to(tmp_path / "out/b.svs")
    with pytest.raises(ChainError, match="outside"):
        slide_files(tmp_path / "in", "*")


def test_files_that_belong_to_a_slide(tmp_path):
    touch(
        tmp_path,
        "m.mrxs",
        "m/Slidedat.ini",
        "m/Data0000.dat",
        "n.mrxs",
        "n/Slidedat.ini",
        "v-1.jpg",
        "v-2.jpg",
        "other.jpg",
    )
    (tmp_path / "v.vms").write_text(
        "[Virtual Microscope Specimen]\nImageFile=v-1.jpg\nImageFile(0,1)=v-2.jpg\nEvil=../x\n"
    )
    assert [p.name for p in belonging(tmp_path / "m.mrxs")] == ["m.mrxs", "Data0000.dat", "Slidedat.ini"]
    assert [p.name for p in belonging(tmp_path / "v.vms")] == ["v.vms", "v-1.jpg", "v-2.jpg"]
    assert [p.name for p in belonging(tmp_path / "a.svs")] == ["a.svs"]


def test_an_index_is_read_as_openslide_reads_it_so_that_no_file_of_pixels_can_change_unseen(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg", "ä.jpg")
    lines = ["MacroImage=a.jpg", " ImageFile=b.jpg", "MapFile=ä.jpg", f"OptimisationFile={'ö' * 250}"]
    (tmp_path / "s.vms").write_text("\n".join(["[Virtual Microscope Specimen]", *lines]), encoding="utf-8")
    assert [path.name for path in belonging(tmp_path / "s.vms")] == ["s.vms", "a.jpg", "b.jpg", "ä.jpg"]


def test_files_of_one_dicom_series_are_one_slide_and_ct_is_none(tmp_path):
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    def write(name, kind, series):
        about = pydicom.Dataset()
        about.SOPClassUID, about.SeriesInstanceUID, about.SOPInstanceUID = kind, series, generate_uid()
        about.file_meta = pydicom.dataset.FileMetaDataset()
        about.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        about.file_meta.MediaStorageSOPClassUID = kind
        about.file_meta.MediaStorageSOPInstanceUID = about.SOPInstanceUID
        about.save_as(tmp_path / name, enforce_file_format=True)

    whole, ct = "1.2.840.10008.5.1.4.1.1.77.1.6", "1.2.840.10008.5.1.4.1.1.2"
    for name, kind, series in (
        ("a1.dcm", whole, "1.2.3"),
        ("a2.dcm", whole, "1.2.3"),
        ("b.dcm", whole, "1.2.4"),
        ("c.dcm", ct, "1.2.5"),
    ):
        write(name, kind, series)
    (tmp_path / "d.dcm").write_bytes(b"nothing")
    assert slide_files(tmp_path, "*") == ["a1.dcm", "b.dcm"]
    assert [p.name for p in belonging(tmp_path / "a1.dcm")] == ["a1.dcm", "a2.dcm"]
