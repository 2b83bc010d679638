"""Tables of points are read strictly; messages name lines, never cells."""

import math
import random
from pathlib import Path

import pytest

from data.errors import ChainError
from data.patches.deid import pseudonym
from data.volumes.points import PointsFile, read_points
from data.volumes.series_table import read_series_table

KEY = b"0123456789abcdef"
HEADER = "seriesuid,coordX,coordY,coordZ,class"
CANARY = "CANARY-1.2.826"
GOOD = f"{HEADER}\n{CANARY},-10.5,20.25,-300,1\nother,1e1,.5,3.,0\n{CANARY},5,6,7,\n"


def read(tmp_path: Path, text: str | bytes, labelled=False, **config):
    path = tmp_path / f"{CANARY}.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_points(PointsFile(csv=path, **config), KEY, labelled)


def refused(tmp_path, text, **config) -> ChainError:
    with pytest.raises(ChainError) as caught:
        read(tmp_path, text, **config)
    said = "\n".join(caught.value.lines())
    assert CANARY not in said
    assert "prepare.points.csv" in said
    return caught.value


def test_rows_become_points_by_the_hashed_name_of_their_series(tmp_path):
    found = read(tmp_path, GOOD)
    mine = found.by_name[pseudonym(KEY, CANARY)]
    assert [(p.zyx_mm, p.label) for p in mine] == [((-300.0, 20.25, -10.5), "1"), ((7.0, 6.0, 5.0), "")]
    assert mine[0].key == "x-10.500_y+20.250_z-300.000"
    assert found.lines[pseudonym(KEY, CANARY)] == (2, 4)
    assert CANARY not in repr(found)


def test_ras_points_are_turned_to_lps(tmp_path):
    (point,) = read(tmp_path, f"{HEADER}\na,1,-2,3,x\n", frame="ras").by_name[pseudonym(KEY, "a")]
    assert point.zyx_mm == (3.0, 2.0, -1.0)


def test_a_repeated_row_counts_once_and_two_classes_of_one_point_are_refused(tmp_path):
    again = f"{HEADER}\na,1,2,3,x\na,1.0,2.0,3.0002,x\n"
    assert len(read(tmp_path, again).by_name[pseudonym(KEY, "a")]) == 1
    error = refused(tmp_path, again + "a,1,2,3,y\n")
    assert (error.code, "line 4" in error.what, "line 2" in error.why) == (65, True, True)


def test_a_table_without_classes_serves_where_none_are_asked_for(tmp_path):
    plain = "seriesuid,coordX,coordY,coordZ,diameter_mm\na,1,2,3,5.6\n"  # LUNA16's annotations.csv
    assert read(tmp_path, plain).by_name[pseudonym(KEY, "a")][0].label == ""
    assert "'class'" in refused(tmp_path, plain, labelled=True).what


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{CANARY},1,2,3,4\n", "no column 'seriesuid'"),
        (f"{HEADER},class\na,1,2,3,x,y\n", "'class' twice"),
        (HEADER.replace(",", ";") + f"\n{CANARY};1;2;3;x\n", "no column"),
        (f"{HEADER}\n{CANARY},1,2\n", "line 2"),
        (f"{HEADER}\n{CANARY},nan,2,3,x\n", "line 2"),
        (f"{HEADER}\n{CANARY},1,inf,3,x\n", "line 2"),
        (f"{HEADER}\n{CANARY},1,,3,x\n", "line 2"),
        (f"{HEADER}\n{CANARY},1_0,2,3,x\n", "line 2"),
        (f"{HEADER}\n{CANARY},1,2,1e9,x\n", "line 2"),
        (f"{HEADER}\n\n,1,2,3,x\n", "line 3"),
        (f"{HEADER}\n{CANARY},1,2,3,NaN\n", "line 2"),
        (f'{HEADER}\n"{CANARY},1,2,3,x\n', "is not CSV"),
        (f"{HEADER}\n{CANARY},1,2,3,x\n".encode("utf-16"), "not UTF-8"),
        ("", "no column"),
    ],
)
def test_a_broken_table_is_refused_by_line_or_column(tmp_path, text, says):
    error = refused(tmp_path, text)
    assert error.code == 65
    assert says in error.what


def test_a_missing_table_is_said_without_its_path(tmp_path):
    with pytest.raises(ChainError) as caught:
        read_points(PointsFile(csv=tmp_path / f"{CANARY}.csv"), KEY, False)
    assert caught.value.code == 66
    assert CANARY not in "".join(caught.value.lines())


def test_mutated_tables_are_read_or_refused_and_never_shown(tmp_path):
    rng = random.Random(0)
    refusals = []
    series = f"series,patient,site,label,split\n{CANARY},{CANARY}-p,here,x,train\nb,q,,y,test\n".encode()
    for round_ in range(400):
        original = series if round_ % 2 else GOOD.encode()
        data = bytearray(original)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            match rng.randrange(5):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randint(1, 20)]
                case 2:
                    data[at:at] = rng.choice([b'"', b",", b"\n", b"\0", b"nan", b"\xff\xfe", b"\r", b"-", b"=1+1"])
                case 3:
                    data[at:at] = data[at : at + 30]
                case _:
                    data += bytes(rng.randrange(256) for _ in range(10))
            data = data or bytearray(b"x")
        path = tmp_path / "t.csv"
        path.write_bytes(data)
        try:
            if round_ % 2:
                table = read_series_table(path, KEY, labelled=True)
                assert all(CANARY not in str(row.patient) for row in table.rows.values())
            else:
                found = read_points(PointsFile(csv=path), KEY, True)
                assert all(math.isfinite(v) for ps in found.by_name.values() for p in ps for v in p.zyx_mm)
        except ChainError as error:
            refusals.append(error)
    assert 100 < len(refusals) < 400
    assert {error.code for error in refusals} == {65}
    assert "CANARY" not in "\n".join(line for error in refusals for line in error.lines())


def test_a_table_of_volumes_hashes_patients_and_knows_splits(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"series,split,patient,note\n{CANARY},Val,{CANARY}-p,free text\nb,unlabeled,,\n")
    table = read_series_table(path, KEY, labelled=False)
    row = table.rows[pseudonym(KEY, CANARY)]
    assert (row.patient, row.split, row.label) == (pseudonym(KEY, f"{CANARY}-p"), "validation", "")
    assert table.rows[pseudonym(KEY, "b")].split == "pool"
    assert CANARY not in repr(table)


@pytest.mark.parametrize("column", ["Patient", "PatientID", "patient id", "case", "Center", "class", "Split"])
def test_a_column_that_was_meant_is_never_passed_over(tmp_path, column):
    # volumes of one patient would each be a patient of its own, and land in two splits
    path = tmp_path / "t.csv"
    path.write_text(f"series,note,{column}\n{CANARY},,{CANARY}\n")
    with pytest.raises(ChainError, match=r"column 3 seems to be '(patient|site|label|split)'") as caught:
        read_series_table(path, KEY, labelled=False)
    assert CANARY not in "".join(caught.value.lines())


def test_empty_rows_as_spreadsheets_write_them_are_passed_over(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("series,patient\n,\na,p\n , \n,\n")
    assert read_series_table(path, KEY, labelled=False).lines == {pseudonym(KEY, "a"): 3}


@pytest.mark.parametrize("row", [f"{CANARY},nan,,,", f"{CANARY},,,,later", ",p,,,", "a,p,,,\na,p,,,", "a,p"])
def test_a_broken_table_of_volumes_is_refused_by_line(tmp_path, row):
    path = tmp_path / f"{CANARY}.csv"
    path.write_text(f"series,patient,site,label,split\n{row}\n")
    with pytest.raises(ChainError) as caught:
        read_series_table(path, KEY, labelled=False)
    assert caught.value.code == 65
    assert "line" in caught.value.what
    assert CANARY not in "".join(caught.value.lines())
