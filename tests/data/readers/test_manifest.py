import json

import pandas as pd
import pytest

from data.errors import ChainError
from data.readers.base import Record
from data.readers.manifest import Manifest


@pytest.fixture
def manifest(tmp_path, folder):
    """A manifest of the given text beside the folder of patches."""

    def make(text, **keys):
        path = tmp_path / "m.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Manifest.model_validate_json(json.dumps({"kind": "manifest", "path": str(path), **keys}, default=str))

    return make


def _refusal(reader, code=65):
    with pytest.raises(ChainError) as caught:
        list(reader.records())
    assert caught.value.code == code
    return caught.value.what


def test_every_column_but_the_path_may_be_missing(manifest):
    (record,) = manifest("path\npatches/A/p0_0.jpg\n").records()
    assert record == Record("patches/A/p0_0.jpg")


def test_all_columns_in_any_order_with_others_between(manifest, folder):
    text = "split,stain,path,label,site,slide,patient\nVal,HE,A/p0_0.jpg, A ,x,s1,p1\n,HE,A/p0_2.jpg,,,,\n"
    first, second = manifest(text, root=folder).records()
    assert first == Record("A/p0_0.jpg", "A", "p1", "s1", "x", "validation")
    assert second == Record("A/p0_2.jpg")


def test_splits_have_one_spelling_each(manifest, folder):
    given = ["train", "labelled", "pool", "unlabelled", "unlabeled", "validation", "val", "TEST"]
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.jpg"))
    rows = [f"{file},{split}" for file, split in zip(files, given, strict=True)]
    records = manifest("path,split\n" + "\n".join(rows), root=folder).records()
    assert [r.split for r in records] == [
        *("train", "labelled", "pool", "pool", "pool", "validation", "validation", "test")
    ]


def test_an_unknown_split_is_refused_by_line(manifest):
    assert "line 2 has the split 'tset'" in _refusal(manifest("path,split\npatches/A/p0_0.jpg,tset\n"))


def test_a_missing_file_is_named_with_its_line(manifest):
    text = 'path,label\npatches/A/p0_0.jpg,"two\nlines"\npatches/A/none.jpg,A\n'
    assert "m.csv line 4 names patches/A/none.jpg, which is missing" in _refusal(manifest(text), 66)


def test_a_path_outside_the_root_is_refused_however_it_is_written(manifest, folder, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    for given in ("../secret.png", "link.png", "up/secret.png", "A/../../secret.png", f"{tmp_path}/secret.png"):
        assert "line 2" in _refusal(manifest(f"path\n{given}\n", root=folder))


def test_control_characters_in_a_path_are_refused(manifest):
    assert "refused" in _refusal(manifest("path\npatches/A/p0\0.jpg\n"))
    assert "refused" in _refusal(manifest('path\n"patches/A/p0\n.jpg"\n'))


def test_one_patch_listed_twice_is_refused_even_if_written_otherwise(manifest):
    what = _refusal(manifest("path\npatches/A/p0_0.jpg\npatches/A/p1_1.jpg\npatches/B/../A/p0_0.jpg\n"))
    assert "line 4 names patches/A/p0_0.jpg again" in what


@pytest.mark.parametrize("column", ["patient_id", "PatientID", "Patient", "slides", "class"])
def test_a_column_that_was_meant_is_never_passed_over(manifest, column):
    assert repr(column) in _refusal(manifest(f"path,{column}\npatches/A/p0_0.jpg,x\n"))


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        ("", "no column 'path'"),
        ("image\nx\n", "no column 'path'"),
        ("path,label,label\nx,a,b\n", "twice"),
        ("path,label\npatches/A/p0_0.jpg\n", "line 2 has 1 cells"),
        ('path\n"open\n', "is not CSV"),
        (b"path\n\xff\n", "is not UTF-8"),
        ("path,label\n,A\n", "line 2 names no path"),
    ],
)
def test_broken_tables_are_refused(manifest, text, gist):
    assert gist in _refusal(manifest(text))


def test_parquet_gives_what_csv_gives(manifest, tmp_path):
    text = "path,label,patient\npatches/A/p0_0.jpg,A,1\npatches/A/p0_2.jpg,,2\n"
    from_csv = list(manifest(text).records())
    table = pd.DataFrame(
        {"path": ["patches/A/p0_0.jpg", "patches/A/p0_2.jpg"], "label": ["A", None], "patient": [1, 2], "other": [0, 0]}
    )
    table.to_parquet(tmp_path / "m.parquet")
    assert list(Manifest(path=tmp_path / "m.parquet").records()) == from_csv
    (tmp_path / "m.parquet").write_bytes((tmp_path / "m.parquet").read_bytes()[:200])
    assert "truncated or not Parquet" in _refusal(Manifest(path=tmp_path / "m.parquet"))
