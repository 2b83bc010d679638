"""The figures of `inspect --json` by round as flat numbers, for the loggers."""

from collections.abc import Iterator
from typing import Any

CLASS_FIGURES = ("kept", "coverage", "confidence_mean", "calibration_error", "churn")


def series(found: dict[str, Any]) -> list[tuple[int, dict[str, float]]]:
    """(round, name -> figure), what is not defined left out. found: the document of `inspect --json`."""
    return [
        (int(one["round"]), {name: float(value) for name, value in _figures(one) if isinstance(value, int | float)})
        for one in found["rounds"]
    ]


def _figures(one: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    quality = one["quality"]
    for name, value in quality["total"].items():
        yield f"pool/{name}", value
    for when in ("before", "after"):
        yield f"calibration/ece_{when}", (quality.get("calibration") or {}).get(f"ece_{when}")
    yield "calibration/temperature", quality.get("temperature")
    yield "student/disagreement", (one["disagreement"] or {}).get("total")
    for name, value in (quality["total"].get("audit") or {}).items():
        yield f"audit/{name}", value
    for row in quality["per_class"]:
        for name in CLASS_FIGURES:
            yield f"class/{row['class']}/{name}", row.get(name)
    for model in ("teacher", "student"):
        for split, metrics in one[model].items():
            for name in ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "nll", "ece"):
                yield f"{model}/{split}/{name}", (metrics or {}).get(name)
