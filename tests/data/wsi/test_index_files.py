import pytest

from data.errors import ChainError
from data.wsi.handles import open_slide

HEAD = "[Virtual Microscope Specimen]\nNoLayers=1\nNoJpegColumns=1\nNoJpegRows=1\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return tmp_path / "in"


@pytest.mark.parametrize(
    "line",
    [
        "ImageFile=../secret.jpg",
        "  ImageFile(0,0) = ../secret.jpg",
        "MapFile=/etc/passwd",
        "Comment=x\n ImageFile=./../secret.jpg",
        "OPTIMISATIONFILE=..",
        "MacroImage=sub/x.jpg",
    ],
)
@pytest.mark.parametrize("kind", ["vms", "vmu"])
def test_an_index_that_names_another_folder_is_refused_before_openslide_sees_it(folder, line, kind):
    (folder / f"s.{kind}").write_text(HEAD + line + "\n")
    with pytest.raises(ChainError, match=f"s.{kind} names a file of another folder") as caught:
        open_slide(folder / f"s.{kind}")
    assert caught.value.code == 65


def test_the_files_of_a_mirax_slide_lie_in_its_folder(folder):
    (folder / "s.mrxs").write_bytes(b"")
    (folder / "s").mkdir()
    (folder / "s" / "Slidedat.ini").write_text("[DATAFILE]\nFILE_COUNT=1\nFILE_0=../../secret.jpg\n")
    with pytest.raises(ChainError, match="another folder"):
        open_slide(folder / "s.mrxs")
    (folder / "s" / "Slidedat.ini").write_text("[DATAFILE]\nFILE_COUNT=1\nFILE_0=Data0000.dat\n")
    (folder / "s" / "Data0000.dat").symlink_to(folder.parent / "secret.jpg")
    with pytest.raises(ChainError, match="another folder") as caught:
        open_slide(folder / "s.mrxs")
    assert "link" in caught.value.why


def test_a_link_beside_an_index_may_stay_in_the_folder_but_not_leave_it(folder):
    (folder / "s.vms").write_text(HEAD + "ImageFile=a.jpg\nCreated=2010/01/02\n")
    (folder / "b.jpg").write_bytes(b"")
    (folder / "a.jpg").symlink_to("b.jpg")
    with pytest.raises(ChainError, match=r"cannot be opened|is not a slide"):  # as far as OpenSlide
        open_slide(folder / "s.vms")
    (folder / "a.jpg").unlink()
    (folder / "a.jpg").symlink_to(folder.parent / "secret.jpg")
    with pytest.raises(ChainError, match="another folder"):
        open_slide(folder / "s.vms")
    (folder / "s.vms").write_text(HEAD + "ImageFile=ä.jpg\n", encoding="utf-8")
    (folder / "ä.jpg").symlink_to(folder.parent / "secret.jpg")
    with pytest.raises(ChainError, match="another folder"):
        open_slide(folder / "s.vms")
