"""Rows, verdicts and documents from figures written out by hand."""

from typing import Any

import numpy as np
import pytest

from benchmarks.label_efficiency.docs import filled, marks
from benchmarks.label_efficiency.intervals import METRICS
from benchmarks.label_efficiency.summary import Found, table, verdicts
from benchmarks.label_efficiency.tables import report
from data.errors import ChainError


def found(
    method: str, seed: int, round: int | None, unseen: float, pool: float | None = None, fraction: float = 0.01
) -> Found:
    row: dict[str, Any] = {"round": round, "seconds": 10.0}
    drawn = {}
    for column, value in (("unseen", unseen), ("pool", pool)):
        if value is not None:
            row[column] = dict.fromkeys(METRICS, value)
            drawn[column] = np.full((50, 4), value)
    labels = {"training": 80, "validation": 20, "pool": 1000}
    return Found(method, fraction, 0.2 if fraction < 1 else 0.0, seed, round, labels, row, drawn)


CURVES = {0: [0.50, 0.60, 0.65], 1: [0.50, 0.70, 0.60], 2: [0.60, 0.65, 0.55]}
CELLS = [found("default", seed, r, v, v + 0.1) for seed, curve in CURVES.items() for r, v in enumerate(curve)]
CELLS += [found("all_network", seed, 0, 0.70, fraction=1.0) for seed in CURVES]


def test_verdicts_are_medians_of_seeds_and_name_those_that_lose() -> None:
    (said,) = verdicts(CELLS)
    within = said["unseen"].pop("within")
    assert said["unseen"] == {"gain": 10.0, "closed": pytest.approx(0.5), "below": [2], "best": False}
    assert -5 <= within[0] <= 0  # seeds drawn again: towards the worst gain of three, and the best
    assert 10 <= within[1] <= 15
    assert said["pool"]["closed"] is None  # with all labels there is no pool


def test_two_teachers_are_compared_on_the_same_resamples() -> None:
    """Who is judged moves both alike: a gain that every resample has is sure, however far apart the resamples lie."""
    slides = np.random.default_rng(0).normal(0, 0.2, (200, 1)) * np.ones(4)
    cells = [found("default", 0, r, 0.5 + 0.1 * r) for r in (0, 1)]
    for one in cells:
        one.drawn["unseen"] = one.drawn["unseen"][:1] + slides
    (said,) = verdicts(cells)
    assert said["unseen"]["within"] == [pytest.approx(10, abs=0.01)] * 2


def test_a_row_has_the_mean_and_the_worst_seed() -> None:
    rows = {(row["method"], row["round"]): row for row in table(CELLS)}
    last = rows["default", 2]["unseen"]["balanced_accuracy"]
    assert (last["mean"], last["worst"]) == (0.6, 0.55)
    assert 0.55 <= last["low"] <= last["high"] <= 0.65
    assert rows["default", 2]["unseen"]["ece"]["worst"] == 0.65  # of errors the worst is the largest
    assert "pool" not in rows["all_network", 0]


def test_the_report_shows_both_columns_every_row_and_what_failed() -> None:
    about = {
        "command": "python -m x",
        "patches": 9,
        "judged_by": "patients",
        "network": "net",
        "px": 32,
        "seeds": [0],
        "device": "cpu",
    }
    text = report(
        {
            "about": about,
            "table": table(CELLS),
            "verdicts": verdicts(CELLS),
            "cells": [{"pool": {"groups": 9}, "unseen": {"groups": 3}}],
            "failed": [{"cell": "a/b", "why": "refused"}],
        }
    )
    assert text.count("default: labels only") == 2
    assert text.count("same network, same number of steps") == 1
    assert "1 %: 80 + 20 to validate" in text
    assert "| 50 % |" in text
    assert text.count("no interval where under 5 patients or slides are judged, here 3") == 1
    assert "no result: a/b refused" in text


def test_a_document_is_filled_between_its_marks_and_nowhere_else() -> None:
    once = filled("# Results\n\nprose\n", "crc5", "first")
    twice = filled(once + "\nmore prose\n", "crc5", "second")
    assert "first" not in twice
    assert "second" in twice
    assert "prose" in twice
    assert twice.endswith("more prose\n")
    assert filled(twice, "crc5", "second") == twice
    with pytest.raises(ChainError, match="have no end"):
        filled(once.replace(marks("crc5")[1], ""), "crc5", "x")
