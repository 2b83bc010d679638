"""Chains that grow: one of them, as small as it gets, and what is made of the figures."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

# in this process, so that the forked chain has them already
import stages.predict.stage
import stages.train.stage  # noqa: F401
from benchmarks import growth
from benchmarks.growth import STAGES, Axis, Setting, Spent, curve, first, flat, linear, measured, plot, table


def test_a_chain_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "HELD_OUT", dict.fromkeys(growth.HELD_OUT, 12))
    monkeypatch.setattr(growth, "KEPT", 16)
    spent = measured(Setting(patches=40, classes=2, rounds=1, steps=1, batch=4), tmp_path)
    assert spent.processor_s > 0
    assert 0 < spent.own_mib < spent.peak_mib
    assert set(spent.stages) == set(STAGES)
    assert all(spent.stages.values())
    assert not (tmp_path / "40-2" / "run").exists()


def test_what_fails_says_why(tmp_path: Path) -> None:
    def broken() -> int:
        os.write(2, b"no such thing")
        return 66

    with pytest.raises(RuntimeError, match="exit 66: no such thing"):
        growth.apart(broken, tmp_path / "said")


@pytest.mark.parametrize(("line", "expected"), [(linear, [1, 2, 3]), (flat, [2, 2, 2]), (first, [1, 1, 1])])
def test_lines(line: growth.Line, expected: list[float]) -> None:
    assert line([10, 20, 30], [1, 2, 3]) == pytest.approx(expected)


def test_what_is_shown_is_the_median_and_how_far_the_quartiles_are_apart() -> None:
    each = [Spent(s, s, 100, 200, dict.fromkeys(STAGES, 1.0)) for s in (8.0, 9.0, 10.0, 11.0, 30.0)]
    assert (growth.median(each).processor_s, growth.median(each).noise) == (10, 20)
    assert growth.median(each[:1]).noise == 0


def test_ranks_may_cost_what_they_cost_without_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, idle = Setting(steps=9), Setting(steps=1)
    twice = [replace(one, ranks=2) for one in (work, idle)]
    monkeypatch.setattr(growth, "AXES", {"ranks": Axis((work, twice[0]), first, first, (idle, twice[1]))})
    seconds = {work: 20.0, twice[0]: 33.0, idle: 5.0, twice[1]: 15.0}
    found = {setting: Spent(1, s, 100, 200, dict.fromkeys(STAGES, 1.0)) for setting, s in seconds.items()}
    one = curve("ranks", found)
    assert one.processor_s == [20, 30]
    assert "| 2 | 1.0 | 33.0 | 30.0 | +10.0 |" in table(one)
    plot([one], tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
