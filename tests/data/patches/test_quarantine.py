import csv

import pytest

from data.errors import ChainError
from data.patches.quarantine import Quarantined, check_limit, write_quarantine


def test_the_table_always_has_its_header_and_quotes_what_needs_it(tmp_path):
    path = tmp_path / "q.csv"
    write_quarantine(path, [])
    assert path.read_text() == "source,key,reason\n"
    write_quarantine(path, [Quarantined("main", 'a,"b".png', "bad, very")])
    with path.open(newline="") as file:
        assert list(csv.reader(file))[1] == ["main", 'a,"b".png', "bad, very"]


@pytest.mark.parametrize(
    ("cell", "shown"), [("=1+1", "=1+1"), ("+1", "+1"), ("-1", "-1"), ("@x", "@x"), ("\t=1", "\\x09=1"), ("＝1", "＝1")]
)
def test_no_cell_is_a_formula(tmp_path, cell, shown):
    write_quarantine(tmp_path / "q.csv", [Quarantined("main", cell, cell)])
    with (tmp_path / "q.csv").open(newline="") as file:
        assert list(csv.reader(file))[1] == ["main", f"'{shown}", f"'{shown}"]


def test_no_cell_commands_a_terminal(tmp_path):
    write_quarantine(tmp_path / "q.csv", [Quarantined("main", "\x1b[2Ja.png", "two\nlines")])
    assert (tmp_path / "q.csv").read_text() == "source,key,reason\nmain,\\x1b[2Ja.png,two\\x0alines\n"


def test_the_limit_is_a_share_that_may_be_reached_but_not_passed():
    rows = [Quarantined("main", f"{i}.jpg", "truncated") for i in range(11)]
    check_limit(rows[:10], 1000, 0.01, "q.csv")
    check_limit([], 10, 0.0, "q.csv")
    with pytest.raises(ChainError) as caught:
        check_limit(rows, 1000, 0.01, "q.csv")
    error = caught.value
    assert error.code == 65
    assert "11 of 1,000 patches (1.100%)" in error.what
    assert "0.jpg: truncated; 1.jpg: truncated; 2.jpg: truncated" in error.why
    assert "q.csv" in error.todo
    assert len(error.lines()) == 3


def test_long_names_leave_room_for_the_reasons():
    rows = [Quarantined("main", "d/" * 500 + f"{i}.jpg", "truncated") for i in range(3)]
    with pytest.raises(ChainError) as caught:
        check_limit(rows, 3, 0, "q.csv")
    assert caught.value.lines()[1].count("truncated") == 3
