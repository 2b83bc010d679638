"""Turns: their order, and that an interrupted benchmark goes on."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.beside_others import turns
from benchmarks.beside_others.patches import Rows
from benchmarks.beside_others.sides import Desk
from benchmarks.beside_others.turns import Kept, Turn, measure, turns_of
from tests.benchmarks.beside_others.folders import SMALL

DESK = Desk(SMALL, Path("nowhere"), Rows([], np.array([]), np.array([]), ["a", "b"]))


def fake(desk: Desk, side: str, turn: int, kill_after_s: float | None, into: Path) -> Turn:
    """A run that takes 10 s: what is tested is who runs when, not how."""
    return Turn(side, turn, kill_after_s, 10.0, 1.0, 100.0, 8, 0.5)


def test_sides_take_turns_and_then_are_killed_at_half_of_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "measured", fake)
    kept = Kept(tmp_path / "turns.json", {})
    measure(DESK, kept, ["ours", "wilds"], 2, 1, tmp_path, lambda _: None)
    order = [(one.side, one.killed_s) for one in kept.turns]
    assert order == 2 * [("ours", None), ("wilds", None)] + [("ours", 5.0), ("wilds", 5.0)]
    assert turns_of(tmp_path / "turns.json") == kept.turns


def test_what_is_there_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "measured", fake)
    measure(DESK, Kept(tmp_path / "turns.json", {}), ["ours"], 1, 1, tmp_path, lambda _: None)
    said: list[Turn] = []
    measure(DESK, Kept(tmp_path / "turns.json", {}), ["ours", "wilds"], 1, 1, tmp_path, said.append)
    assert [one.side for one in said] == ["wilds", "wilds"]


def test_turns_that_were_made_otherwise_are_not_mixed(tmp_path: Path) -> None:
    Kept(tmp_path / "turns.json", {"size_px": 96}).add(fake(DESK, "ours", 0, None, tmp_path))
    with pytest.raises(ValueError, match="name another --into"):
        Kept(tmp_path / "turns.json", {"size_px": 64})
