"""What the plot says of presets and baselines, whatever was run of them."""

from typing import Any

import pytest

from benchmarks.label_efficiency.plot import _panel, colours_of


def row(
    method: str, fraction: float, seeds: list[int], mean: float, validation: float = 0.0, round: int | None = None
) -> Any:
    figures = {"balanced_accuracy": {"mean": mean, "low": None, "high": None}}
    about = {"method": method, "fraction": fraction, "validation": validation, "seeds": seeds, "round": round}
    return about | {"pool": figures}


ROWS = [
    row("curriculum", 0.005, [0], 0.7, round=0),
    row("default", 0.005, [0, 1], 0.6, round=0),
    row("default", 0.01, [0, 1], 0.8, round=0),
    row("probe", 0.005, [0, 1], 0.4),
    row("probe", 0.005, [0], 0.9, validation=0.3),
]


def test_a_preset_has_its_colour_in_every_panel() -> None:
    assert colours_of(ROWS) == {"default": "C0", "curriculum": "C1"}


def test_the_line_of_a_baseline_is_that_of_most_seeds() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.subplots()
    _panel(axes, [one for one in ROWS if one["fraction"] == 0.005], "pool", colours_of(ROWS))
    found = {line.get_label(): (line.get_color(), line.get_ydata()[0]) for line in axes.lines}
    assert found["default, no validation"] == ("C0", 0.6)
    assert found["linear probe"] == ("0.3", 0.4)
