"""By which figure the models of a run are compared, for all who show them."""

from collections.abc import Mapping
from typing import Any

from stages.measures.paired import METRICS

METRIC = "balanced_accuracy"


def gate_metric(config: Mapping[str, Any]) -> str:
    """`promote.metric` of a run's config.yaml as read; where it names none that is known, what the gate goes by."""
    asked = (config.get("promote") or {}).get("metric", METRIC)
    return asked if asked in METRICS else METRIC
