import json
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import ChainError
from data.patches.record import Record
from data.readers._rows import table_rows
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
    text = 'path,note\npatches/A/p0_0.jpg,"two\nlines"\npatches/A/none.jpg,A\n'
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


def test_paths_that_were_listed_are_not_kept(manifest, monkeypatch):
    monkeypatch.setattr("os.path.isfile", lambda _: True)  # twenty thousand files would show no more
    monkeypatch.setattr("sys.intern", str)  # pathlib interns names, and now and then Python's table of those grows
    count = 20_000
    reader = manifest("path\n" + "".join(f"slide{row % 50}/tile_{row:08d}.png\n" for row in range(count)))
    tracemalloc.start()
    assert sum(1 for _ in reader.records()) == count
    cost = tracemalloc.get_traced_memory()[1] / count
    tracemalloc.stop()
    assert cost < 60  # 8 bytes of each, and some while they are compared; with all paths it was 155


MEANT = (
    *("patient_id", "PatientID", "Patient ID", "Patient", "patient_name", "Patient No.", "case_id", "Subject"),
    *("Patienten-ID", "slides", "slide name", "WSI", "class", "Class Name", "classes"),
)


@pytest.mark.parametrize("column", MEANT)
def test_a_column_that_was_meant_is_never_passed_over(manifest, column):
    assert repr(column) in _refusal(manifest(f"path,{column}\npatches/A/p0_0.jpg,x\n"))


def test_rows_that_are_empty_are_passed_over(manifest):
    reader = manifest("path,label\n,\npatches/A/p0_0.jpg,A\n\n , \n")
    assert [record.key for record in reader.records()] == ["patches/A/p0_0.jpg"]


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        ("", "no column 'path'"),
        ("image\nx\n", "no column 'path'"),
        ("path,label,label\nx,a,b\n", "twice"),
        ("path,label\npatches/A/p0_0.jpg\n", "line 2 has 1 cells"),
        ('path\n"open\n', "is not CSV"),
        ("image,x\n", "its first line is 'image,x'"),
        (b"path\n\xff\n", "is not UTF-8"),
        ("path,label\npatches/A/p0_0.jpg,A\n".encode("utf-16"), "is UTF-16"),
        ("path,label\npatches/A/p0_0.jpg,A\n".encode("utf-16-le"), "is UTF-16"),
        ("path,label\npatches/A/p0_0.jpg,a\0b\n", "line 2: the label 'a\\x00b' is refused"),
        (f"path,label\npatches/A/p0_0.jpg,{'x' * 201}\n", "line 2: the label 'xxx"),
        (f"path\n{'x' * 5000}\n", ", which is missing"),
        ("path,label\n,A\n", "line 2 names no path"),
    ],
)
def test_broken_tables_are_refused(manifest, text, gist):
    what = _refusal(manifest(text), 66 if "missing" in gist else 65)
    assert gist in what
    assert len(what) < 500


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_separators_are_recognised(manifest, mark, name):
    reader = manifest(mark.join(["path", "label", "x" * 500]) + "\n")
    with pytest.raises(ChainError) as caught:
        list(reader.records())
    assert repr(mark.join(["path", "label"]))[:-1] in caught.value.what
    assert len(caught.value.what) < 300
    assert caught.value.why == f"columns are separated by commas, not by {name}"


def test_a_label_of_200_characters_is_a_name(manifest):
    (record,) = manifest(f"path,label\npatches/A/p0_0.jpg,{'x' * 200}\n").records()
    assert record.label == "x" * 200


@pytest.mark.parametrize("label", ["NA", "N/A", "nan", "NaN", "null", "None", "unknown"])
def test_a_lost_value_is_no_class(manifest, label):
    with pytest.raises(ChainError, match=f"m.csv line 3 has the label '{label}'") as caught:
        list(manifest(f"path,label\npatches/A/p0_0.jpg,A\npatches/A/p0_2.jpg,{label}\n").records())
    assert caught.value.code == 65
    assert "leave it empty" in caught.value.todo


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


@pytest.fixture
def parquet(tmp_path, folder):
    """A Parquet manifest of the folder's first patches and the given columns."""

    def make(**columns):
        files = sorted(str(p.relative_to(tmp_path)) for p in folder.rglob("*.jpg"))
        path = tmp_path / "m.parquet"
        pq.write_table(pa.table({"path": files[: len(next(iter(columns.values())))], **columns}), path)
        return Manifest(path=path)

    return make


@pytest.mark.parametrize("column", ["label", "patient", "slide", "site"])
@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_nan_is_unknown_and_whole_floats_are_whole_numbers(parquet, column, kind):
    records = parquet(**{column: pa.array([1.0, float("nan"), None, 1024.0], kind)}).records()
    assert [getattr(record, column) for record in records] == ["1", "", "", "1024"]


@pytest.mark.parametrize("value", [0.5, 2.0**53 + 2, float("inf")])
@pytest.mark.parametrize("column", ["label", "patient", "slide", "site"])
def test_a_float_that_is_no_exact_whole_number_is_refused(parquet, column, value):
    assert f"row 2: column '{column}' holds the number" in _refusal(parquet(**{column: [1.0, value]}))


def test_a_float_of_32_bits_holds_fewer_digits(parquet):
    assert "row 1: column 'patient'" in _refusal(parquet(patient=pa.array([2.0**25], pa.float32())))


@pytest.mark.parametrize(("values", "kind"), [([["a"]], "list<"), ([{"a": 1}], "struct<"), ([b"\xff"], "binary")])
def test_a_column_of_no_texts_is_named_with_its_type(parquet, values, kind):
    what = _refusal(parquet(patient=values))
    assert f"column 'patient' holds {kind}" in what


def test_categories_and_truth_values_are_texts(parquet):
    records = parquet(label=pa.array(["a", None]).dictionary_encode(), site=[True, False]).records()
    assert [(r.label, r.site) for r in records] == [("a", "true"), ("", "false")]


def test_rows_of_parquet_are_counted_from_one(parquet):
    assert "row 3 has the label 'nan'" in _refusal(parquet(label=["a", "b", "nan"]))


@pytest.mark.parametrize("column", ["patient", "slide"])
@pytest.mark.parametrize("lost", ["nan", "#REF!", "#NAME?", "1.23457E+11", '"1,23457E+11"', "1E+05"])
def test_a_lost_value_is_nobody(manifest, column, lost):
    # what a spreadsheet rounded may be the number of several patients
    said = f"m.csv line 2 has the {column} {lost}".replace('"', "")
    with pytest.raises(ChainError) as caught:
        list(manifest(f"path,{column}\npatches/A/p0_0.jpg,{lost}\n").records())
    assert said in caught.value.what.replace("'", "")


@pytest.mark.parametrize("name", ["1E5", "E+05", "2e10", "007", "#12", "1E+05b"])
def test_what_looks_little_like_a_lost_value_is_a_name(manifest, name):
    (record,) = manifest(f"path,patient\npatches/A/p0_0.jpg,{name}\n").records()
    assert record.patient == name


def _one_label(path, rows, text):
    label = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))
    names = [f"A/{row}.png" for row in range(rows)]
    pq.write_table(pa.table({"path": names, "label": label}), path, compression="zstd")
    return list(table_rows(path, ("path", "label")))


def test_a_text_that_stands_in_every_row_is_held_once(tmp_path):
    rows = _one_label(tmp_path / "m.parquet", 60_000, f"  {'x' * (4 << 20)}")  # 251 GB, if each row had its own
    assert {id(row["label"]) for _, row in rows} == {id(rows[0][1]["label"])}
    assert len(rows[0][1]["label"]) == 4 << 20


def test_a_table_that_declares_a_thousand_times_its_size_is_refused(tmp_path):
    with pytest.raises(ChainError, match="declares 3 rows of"):
        _one_label(tmp_path / "m.parquet", 3, "x" * (17 << 20))


def test_cells_of_a_fixed_and_large_width_are_no_texts(parquet):
    assert "holds fixed_size_binary[1025]" in _refusal(parquet(site=pa.array([b"x" * 1025], pa.binary(1025))))
    assert next(parquet(site=pa.array([b"xx"], pa.binary(2))).records()).site == "xx"
