"""Tables fit the terminal and carry no control character."""

import pytest

from pipeline.views.text_table import table

HEAD = ["class", "kept", "coverage", "precision"]
ROWS = [["tumour", "1,200", "12.0 %", "91.3 %"], ["x\x1b[31m", "3", "-", "-"]]


def test_a_wide_terminal_gets_one_row_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    lines = table(HEAD, ROWS)
    assert len(lines) == 3
    assert lines[1].split() == ["tumour", "1,200", "12.0", "%", "91.3", "%"]


@pytest.mark.parametrize("columns", [20, 30, 40])
def test_a_narrow_one_gets_the_columns_below_each_other_and_loses_none(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = table(HEAD, ROWS)
    assert all(len(line) <= max(columns, 25) for line in lines)
    text = "\n".join(lines)
    assert all(word in text for word in [*HEAD, "1,200", "12.0 %", "91.3 %"])


def test_names_reach_the_terminal_spelled_out() -> None:
    assert "\x1b" not in "\n".join(table(HEAD, ROWS))
