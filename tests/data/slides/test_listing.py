"""Which slides are units, what changes them, and what a table may say."""

import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import ChainError, ExitCode
from data.preparation import Refusal, Unit
from data.slides import listing
from data.slides.discovery import slide_files
from data.slides.listing import unit_name
from data.slides.slides_table import read_slides_table
from tests.data.wsi.tiny_tiff import picture, write_tiff


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "slides" / "p1").mkdir(parents=True)
    for name in ("p1/a.tif", "p1/b.tif", "c p2.tif"):
        write_tiff(tmp_path / "slides" / name, [picture(128, 128, seed=len(name))], 0.5)
    return tmp_path / "slides"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300), unique=True, max_size=8))
def test_a_units_name_may_be_a_directory_and_is_its_own(keys):
    names = [unit_name(key) for key in keys]
    assert len(set(names)) == len(set(keys))
    for name in names:
        assert 1 <= len(name) <= 120
        assert not name.startswith(".")
        assert all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    assert unit_name("TCGA-01.svs") == "TCGA-01.svs"


def test_units_are_in_order_and_stay_when_the_folder_moves(folder, slides_config, tmp_path):
    before = slides_config(folder).units(b"")
    assert [unit.shown for unit in before] == ["c p2.tif", "p1/a.tif", "p1/b.tif"]
    shutil.move(folder, tmp_path / "moved")
    for path in (tmp_path / "moved").rglob("*.tif"):
        os.utime(path, (1, 1))
    after = slides_config(tmp_path / "moved").units(b"")
    assert [(u.name, u.fingerprint) for u in before] == [(u.name, u.fingerprint) for u in after]
    moved = slides_config(tmp_path / "moved", encoding="reference").units(b"")
    shutil.move(tmp_path / "moved", folder)
    back = slides_config(folder, encoding="reference").units(b"")
    assert all(a.fingerprint != b.fingerprint for a, b in zip(moved, back, strict=True)), "references name the place"


def test_a_fingerprint_changes_with_what_the_unit_depends_on_alone(folder, slides_config, tmp_path):
    notes = tmp_path / "notes"
    (notes / "p1").mkdir(parents=True)
    row = "x,y,width,height,label\n0,0,64,64,tumour\n"
    (notes / "p1/a.csv").write_text(row)
    table = tmp_path / "slides.csv"
    lines = ["file,patient", "p1/a.tif,1", "p1/b.tif,1", "c p2.tif,2"]
    table.write_text("\n".join(lines))
    config = slides_config(folder, annotations={"path": notes}, table=table)

    def marks():
        return {unit.shown: unit.fingerprint for unit in config.units(b"") if isinstance(unit, Unit)}

    first = marks()
    assert first == marks()
    (notes / "p1/a.csv").write_text(row + "64,0,64,64,stroma\n")
    second = marks()
    assert {key for key in first if first[key] != second[key]} == {"p1/a.tif"}
    table.write_text("\n".join([*lines[:2], "p1/b.tif,3", lines[3]]))
    third = marks()
    assert {key for key in first if second[key] != third[key]} == {"p1/b.tif"}
    write_tiff(folder / "c p2.tif", [picture(128, 128, seed=99)], 0.5)
    assert {key for key, mark in marks().items() if third[key] != mark} == {"c p2.tif"}


def test_patients_are_read_off_the_path_and_the_table_comes_first(folder, slides_config, tmp_path):
    def patients(config):
        return [listing.listed_again(config, unit).patient for unit in config.units(b"")]

    assert patients(slides_config(folder, patient_pattern=r"(p\d)")) == ["p2", "p1", "p1"]
    refused = slides_config(folder, patient_pattern=r"p(1)/").units(b"")
    assert [one.shown for one in refused if isinstance(one, Refusal)] == ["c p2.tif"]
    (tmp_path / "t.csv").write_text("file,patient\np1/a.tif,x\np1/b.tif,\nc p2.tif,\n")
    both = slides_config(folder, patient_pattern=r"(p\d)", table=tmp_path / "t.csv")
    assert patients(both) == ["p2", "x", "p1"]


def test_a_slide_without_its_row_is_refused(folder, slides_config, tmp_path):
    (tmp_path / "t.csv").write_text("file,patient\np1/a.tif,x\np1/b.tif,x\n")
    found = slides_config(folder, table=tmp_path / "t.csv").units(b"")
    assert [one.shown for one in found if isinstance(one, Refusal)] == ["c p2.tif"]
    only = slides_config(folder, table=tmp_path / "t.csv", pattern="p1/*").units(b"")
    assert all(isinstance(one, Unit) for one in only)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path\na.tif\n", "no column 'file'"),
        ("file,mpp\n,0.5\n", "line 2 names no file"),
        ("file\ngone.tif\n", "line 2 names gone.tif"),
        ("file\n../a.tif\n", "outside"),
        ("file\n/etc/passwd\n", "outside"),
        ("file\na.tif\nb.tif\na.tif\n", "line 4 names a.tif again"),
        ("file,mpp\na.tif,abc\n", "'abc'"),
        ("file,mpp\na.tif,nan\n", "'nan'"),
        ("file,mpp\na.tif,-1\n", "'-1'"),
        ("file,mpp\na.tif,1e9\n", "'1e9'"),
        ("file,patient\na.tif,NaN\n", "lost value"),
        ("file,split\na.tif,held out\n", "'held out'"),
        ("file,patient_id\na.tif,3\n", "patient_id"),
        ("file,patient\na.tif\n", "line 2 has 1 cells"),
        ('file,label\n"a\x1fb.tif",x\n', "refused"),
        ("file,patient\na.tif,a\x1fb\n", "separator"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_line(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ChainError) as caught:
        read_slides_table(tmp_path / "t.csv", tmp_path, {"a.tif", "b.tif"})
    assert caught.value.code in (ExitCode.BAD_DATA, ExitCode.MISSING)
    assert words in "\n".join(caught.value.lines())


def test_a_slide_that_changed_since_it_was_listed_is_not_made_under_its_old_name(folder, slides_config, tmp_path):
    table = tmp_path / "slides.csv"
    table.write_text("file,patient\np1/a.tif,1\np1/b.tif,1\nc p2.tif,2\n")
    config = slides_config(folder, table=table)
    units = config.units(b"")
    assert [listing.listed_again(config, unit).patient for unit in units] == ["2", "1", "1"]
    table.write_text("file,patient\np1/a.tif,1\np1/b.tif,4\nc p2.tif,2\n")
    write_tiff(folder / "c p2.tif", [picture(128, 128, seed=99)], 0.5)
    assert listing.listed_again(config, units[1]).patient == "1"
    for unit in (units[0], units[2]):
        with pytest.raises(ChainError, match="has changed while it was prepared") as caught:
            listing.listed_again(config, unit)
        assert caught.value.code == ExitCode.MISMATCH


def test_a_worker_lists_the_folder_once_not_once_a_slide(folder, slides_config, tmp_path, monkeypatch):
    table = tmp_path / "slides.csv"
    table.write_text("file,patient\np1/a.tif,1\np1/b.tif,1\nc p2.tif,2\n")
    config = slides_config(folder, table=table)
    units = config.units(b"")
    walked = []
    monkeypatch.setattr(listing, "slide_files", lambda *a: walked.append(a) or slide_files(*a))
    for unit in units:
        listing.listed_again(config, unit)
    assert len(walked) == 1
