"""Cells into rows of a table: mean over seeds with its interval, worst seed, and what was asked of the chain. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.label_efficiency.intervals import METRICS, interval, mean_over_seeds

COLUMNS = ("pool", "unseen")
BASE = "balanced_accuracy"


@dataclass(frozen=True)
class Found:
    """One row of one cell. method: probe, self_training, all_probe, all_network or a preset; drawn: column -> (B, 4).

    fraction: 1.0 for all labels; validation: share of the labels that only judge; round: None outside chains.
    """

    method: str
    fraction: float
    validation: float
    seed: int
    round: int | None
    labels: dict[str, int]
    row: dict[str, Any]
    drawn: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def key(self) -> tuple[float, float, str, int]:
        """What rows of several seeds have in common."""
        return self.fraction, self.validation, self.method, -1 if self.round is None else self.round

    def value(self, column: str, metric: str = BASE) -> float | None:
        """A figure; None where the column has no truth."""
        said = self.row.get(column)
        return None if said is None else said[metric]


def table(found: Sequence[Found]) -> list[dict[str, Any]]:
    """One row for each method, round and fraction: for each column and metric mean, low, high and worst seed."""
    rows = []
    for key in sorted({one.key for one in found}):
        seeds = sorted((one for one in found if one.key == key), key=lambda one: one.seed)
        first = seeds[0]
        row: dict[str, Any] = {
            "method": first.method, "fraction": first.fraction, "validation": first.validation, "round": first.round,
            "seeds": [one.seed for one in seeds],
            "labels": {name: round(statistics.mean(one.labels[name] for one in seeds), 1) for name in first.labels},
            "seconds": round(statistics.mean(one.row["seconds"] for one in seeds), 1),
            "same_as_before": sum(bool(one.row.get("same_as_before")) for one in seeds),
        }  # fmt: skip
        for column in COLUMNS:
            if all(one.row.get(column) for one in seeds):
                row[column] = _over_seeds(seeds, column)
        rows.append(row)
    return rows


def verdicts(found: Sequence[Found]) -> list[dict[str, Any]]:
    """For each fraction, validation share and preset: what the last teacher gains over labels only, in each column.

    gain: median over seeds, in points of balanced accuracy; within: the 95 % interval of its mean, first and last
    teacher judged on the same resamples, None where not defined; closed: median share of the gap to all labels with
    the same network; below: seeds that end below labels only; best: whether no earlier round was better on the mean.
    """
    ceiling = {one.seed: one for one in found if one.method == "all_network"}
    chains = [one for one in found if one.round is not None and one.method != "all_network"]
    said = []
    for fraction, validation, method in sorted({one.key[:3] for one in chains}):
        own = [one for one in chains if one.key[:3] == (fraction, validation, method)]
        verdict: dict[str, Any] = {"method": method, "fraction": fraction, "validation": validation}
        for column in COLUMNS:
            curves = {
                seed: [one.value(column) for one in sorted(own, key=lambda one: one.round or 0) if one.seed == seed]
                for seed in sorted({one.seed for one in own})
            }
            if any(value is None for curve in curves.values() for value in curve):
                continue
            known = {seed: [float(v) for v in curve if v is not None] for seed, curve in curves.items()}
            verdict[column] = _verdict(known, ceiling, column) | {"within": _within(own, column)}
        said.append(verdict | _pseudo_labels(own))
    return said


def _verdict(curves: dict[int, list[float]], ceiling: dict[int, Found], column: str) -> dict[str, Any]:
    gains = {seed: curve[-1] - curve[0] for seed, curve in curves.items()}
    closed = []
    for seed, curve in curves.items():
        top = ceiling[seed].value(column) if seed in ceiling else None
        if top is not None and top > curve[0]:
            closed.append((curve[-1] - curve[0]) / (top - curve[0]))
    length = min(len(curve) for curve in curves.values())
    means = [statistics.mean(curve[r] for curve in curves.values()) for r in range(length)]
    return {
        "gain": round(100 * statistics.median(gains.values()), 2),
        "closed": round(statistics.median(closed), 3) if closed else None,
        "below": [seed for seed, gain in gains.items() if gain < 0],
        "best": bool(means[-1] >= max(means) - 1e-9),
    }


def _within(own: Sequence[Found], column: str) -> list[float] | None:
    # keyed by column and not by model, resamples are the same for every model of a seed: differences are paired
    drawn = []
    for seed in sorted({one.seed for one in own}):
        rounds = sorted((one for one in own if one.seed == seed), key=lambda one: one.round or 0)
        drawn.append(rounds[-1].drawn[column] - rounds[0].drawn[column])
    found = 100 * interval(drawn[0] if len(drawn) == 1 else mean_over_seeds(drawn, column))[:, METRICS.index(BASE)]
    return None if np.isnan(found).any() else [round(float(end), 2) for end in found]


def _pseudo_labels(own: Sequence[Found]) -> dict[str, Any]:
    audits = [one.row["kept"]["audit"] for one in own if one.row.get("kept") and one.row["kept"]["audit"]]
    precise = [a["precision"] for a in audits if a["precision"] is not None]
    errors = [a["ece"] for a in audits if a.get("ece") is not None]
    return {
        "kept_precision": round(statistics.mean(precise), 4) if precise else None,
        "kept_ece": round(statistics.mean(errors), 4) if errors else None,
        "kept_ece_worst": round(max(errors), 4) if errors else None,
    }


def _over_seeds(seeds: Sequence[Found], column: str) -> dict[str, Any]:
    drawn = [one.drawn[column] for one in seeds]
    low, high = interval(drawn[0] if len(drawn) == 1 else mean_over_seeds(drawn, column))
    result: dict[str, Any] = {}
    for at, metric in enumerate(METRICS):
        values = [value for one in seeds if (value := one.value(column, metric)) is not None]
        worst = max if metric == "ece" else min
        result[metric] = {
            "mean": round(statistics.mean(values), 4) if values else None,
            "low": _plain(low[at]),
            "high": _plain(high[at]),
            "worst": round(worst(values), 4) if values else None,
        }
    return result


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
