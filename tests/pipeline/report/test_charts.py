"""What is written on the charts can be read, and says what is."""

import itertools
import re

import pytest

from pipeline.report.charts import rounds_chart
from pipeline.report.verdict import Figure, Model, Verdict


def chart(count: int, value: float) -> str:
    names = ["labels only", *(f"after round {k}" for k in range(count - 2)), "final model"][:count]
    figures = {"validation": Figure(value), "test": Figure(None)}
    models = [Model(name, k, "", figures, {}) for k, name in enumerate(names)]
    return str(rounds_chart(Verdict("accuracy", models, "open", "", {})))


@pytest.mark.parametrize("count", range(1, 30))
def test_names_of_models_do_not_lie_upon_each_other_and_the_first_and_the_last_are_there(count: int) -> None:
    found = re.findall(r'<text x="([\d.]+)"[^>]*>(labels only|after round \d+|final)</text>', chart(count, 0.7))
    named = sorted((float(x), name) for x, name in found)
    assert named[0][1] == "labels only"
    assert count == 1 or named[-1][1] == "final"
    wide = 6.5  # px a letter takes, where the font is a wide one
    for (x, name), (following, other) in itertools.pairwise(named):
        assert following - x > wide * (len(name) + len(other)) / 2


@pytest.mark.parametrize("value", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_no_axis_says_more_than_all_or_less_than_nothing(value: float) -> None:
    ticks = [int(tick) for tick in re.findall(r">(-?\d+) %</text>", chart(3, value))]
    assert len(ticks) > 1
    assert 0 <= min(ticks) <= max(ticks) <= 100
