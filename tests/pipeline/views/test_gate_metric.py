"""What all show is what the gate compares."""

from typing import Any

import pytest

from pipeline.views.gate_metric import METRIC, gate_metric
from stages.measures.paired import METRICS
from stages.promote.config import PromoteConfig


@pytest.mark.parametrize("metric", METRICS)
def test_it_is_what_the_gate_was_told(metric: str) -> None:
    assert gate_metric({"promote": {"metric": metric}}) == metric


@pytest.mark.parametrize("config", [{}, {"promote": None}, {"promote": {}}, {"promote": {"metric": "luck"}}])
def test_where_nothing_known_is_told_it_is_what_the_gate_goes_by(config: dict[str, Any]) -> None:
    assert gate_metric(config) == METRIC == PromoteConfig().metric
