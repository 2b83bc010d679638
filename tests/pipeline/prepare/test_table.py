import csv
from pathlib import Path

from pipeline.prepare.rows import Row, cells, columns
from pipeline.prepare.table import write_table


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_rows_keep_their_order_and_every_fact_has_a_column(tmp_path: Path) -> None:
    rows = [
        Row("b", "b.svs", "done", {"patches": 4, "quarantined": 1, "mpp": 0.5}, 1.26),
        Row("a", "a.svs", "failed", reason="no mpp"),
        Row("c", "c.svs", "skipped", {"patches": 2, "quarantined": 0, "tissue_mm2": 7.5}),
    ]
    write_table(tmp_path / "t.csv", rows)
    found = read(tmp_path / "t.csv")
    assert [row["name"] for row in found] == ["b", "a", "c"]
    assert list(found[0]) == [
        "unit", "name", "status", "patches", "quarantined", "seconds", "mpp", "tissue_mm2", "reason",
    ]  # fmt: skip
    assert found[0]["seconds"] == "1.3"
    assert found[1]["reason"] == "no mpp"
    assert found[2]["mpp"] == ""


def test_no_cell_is_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"]
    rows = [Row(f"u{i}", text, "failed", {text: text, "low": -3}, reason=text) for i, text in enumerate(evil)]
    write_table(tmp_path / "t.csv", rows)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    for row in table:
        assert not [cell for cell in row if cell[:1] in set("=+-@\t\r") and cell != "-3"]
    assert table[1][table[0].index("low")] == "-3"


def test_lists_and_counts_are_readable() -> None:
    row = Row("a", "a", "done", {"size_px": [512, 300], "labels": {"b": 2, "a": 1}, "notes": ["x", "y"], "odd": [{}]})
    by_name = dict(zip(columns([row]), cells(row, columns([row])), strict=True))
    assert by_name["size_px"] == "512 x 300"
    assert by_name["labels"] == "a: 1; b: 2"
    assert by_name["notes"] == "x; y"
    assert by_name["odd"] == "[{}]"


def test_half_characters_in_names_are_spelled_out(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [Row("a", "\udcff.svs", "done")])
    assert "\\xdcff.svs" in (tmp_path / "t.csv").read_text(encoding="utf-8")
