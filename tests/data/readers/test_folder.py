import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from data.errors import ChainError
from data.pixels.bad_patch import BadPatch
from data.readers._files import read_image_file
from data.readers.folder import Folder
from data.readers.tree import Tree


def test_the_first_folder_is_the_label_however_deep_the_file(folder):
    (folder / "A" / "deep").mkdir()
    (folder / "A" / "p0_0.jpg").rename(folder / "A" / "deep" / "p0_0.jpg")
    labels = {record.key: record.label for record in Folder(path=folder).records()}
    assert labels["A/deep/p0_0.jpg"] == "A"
    assert set(labels.values()) == {"A", "B"}
    assert len(labels) == 8


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", "notes.csv", ".DS_Store"])
def test_what_other_programs_leave_beside_images_is_passed_over(folder, name):
    before = [record.key for record in Folder(path=folder).records()]
    (folder / "A" / name).write_bytes(b"x")
    assert [record.key for record in Folder(path=folder).records()] == before


def test_an_image_outside_any_class_folder_is_refused(folder):
    (folder / "A" / "p0_0.jpg").rename(folder / "stray.jpg")
    with pytest.raises(ChainError, match=r"stray\.jpg lies in no class folder"):
        list(Folder(path=folder).records())


@pytest.mark.parametrize("content", [None, "notes.csv", "slide.svs"])
def test_a_class_folder_without_an_image_is_refused_by_name(folder, content):
    (folder / "C" / "deep").mkdir(parents=True)
    if content:
        (folder / "C" / "deep" / content).write_bytes(b"x")
    with pytest.raises(ChainError, match=r"the class folder .*/C holds no image$") as caught:
        list(Folder(path=folder).records())
    assert caught.value.code == 65


def test_a_hidden_folder_is_no_class(folder):
    (folder / ".C").mkdir()
    (folder / "__MACOSX").mkdir()
    assert len(list(Folder(path=folder).records())) == 8


def test_groups_are_read_off_the_path(folder):
    records = list(Folder(path=folder, patient_pattern=r"/(p\d)_", slide_pattern=r"_(\d)\.").records())
    assert [(r.patient, r.slide) for r in records[:3]] == [("p0", "0"), ("p0", "2"), ("p1", "1")]


@pytest.mark.parametrize("pattern", [r"/(q\d)", r"/(q?)p"])
def test_a_path_without_its_group_is_refused_by_name(folder, pattern):
    with pytest.raises(ChainError, match=r"patient_pattern .* finds nothing in A/p0_0\.jpg"):
        list(Folder(path=folder, patient_pattern=pattern).records())


@pytest.mark.parametrize("pattern", ["(", "no group", "(two)(groups)", "(a{99999999999999})", "(" * 3000 + ")" * 3000])
def test_a_pattern_is_checked_with_the_configuration(pattern):
    with pytest.raises(ValidationError, match="slide_pattern"):
        Folder(path=Path(), slide_pattern=pattern)


def test_a_tree_has_no_labels_and_is_a_pool(folder):
    tree = Tree(path=folder, patient_pattern=r"(p\d)")
    assert tree.part == "pool"
    assert [(r.label, r.patient) for r in tree.records()][:2] == [("", "p0"), ("", "p0")]


def test_a_pipe_is_not_waited_for_and_a_device_not_read(folder):
    os.mkfifo(folder / "A" / "pipe.png")
    reader = Folder(path=folder)
    (record,) = [record for record in reader.records() if "pipe" in record.key]
    with pytest.raises(BadPatch, match="regular"):
        reader.content(record)
    with pytest.raises(BadPatch, match="regular"):
        read_image_file(Path("/dev/zero"))
