"""The table."""

from benchmarks.beside_others.table import spread, table
from benchmarks.beside_others.turns import Turn


def test_rows_are_medians_and_what_a_kill_cost_is_beyond_the_same_turn() -> None:
    turns = [
        Turn("ours", 0, None, 100, 150, 1000, 80, 0.90),
        Turn("ours", 1, None, 110, 160, 1000, 80, 0.92),
        Turn("ours", 0, 50, 120, 170, 1000, 83, 0.90),
        Turn("ours", 1, 55, 130, 180, 1000, 83, 0.92),
        Turn("wilds", 0, None, 210, 310, 1500, 80, 0.85),
    ]
    lines = table(turns).splitlines()
    assert lines[2] == (
        "| this chain | 105 (102-108) | 155 (152-158) | 1,000 | 91.0 (90.5-91.5) | 20 | 80 | 3 | 91.0 (90.5-91.5) |"
    )
    assert lines[3] == "| WILDS, Noisy Student | 210 | 310 | 1,500 | 85.0 |  | 80 |  |  |"
    assert lines[-1] == "WILDS takes 2.00 times as long by the clock, 2.00 times of the processor."


def test_a_side_that_did_not_run_has_no_row() -> None:
    assert "WILDS" not in table([Turn("sklearn", 0, None, 10, 15, 500, 0, 0.8)])


def test_nothing_has_no_spread() -> None:
    assert spread([]) == ""
