"""What a student says of its own pseudo-labels: as many of each class, whatever was kept of it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stages.train.measuring import LOOKED_AT, disagreement


def asked(kept: dict[str, int], wrong: dict[str, float]) -> tuple[dict[str, Any], np.ndarray]:
    """What is told where so many of each class were kept and such a share of them is seen otherwise; who was asked."""
    names = list(kept)
    label = np.repeat(np.arange(len(names)), list(kept.values()))
    order = np.random.default_rng(0).permutation(len(label))
    label = label[order].astype(np.int16)
    ids = np.arange(len(label), dtype=np.uint64)
    share = np.array([wrong[name] for name in names])[label]
    said = np.where(np.random.default_rng(1).random(len(label)) < share, (label + 1) % len(names), label)
    seen: list[np.ndarray] = []

    def log_probs(of: np.ndarray) -> np.ndarray:
        seen.append(of)
        found: np.ndarray = np.log(np.eye(len(names))[said[of.astype(int)]] + 1e-3)
        return found

    task: Any = SimpleNamespace(kept=SimpleNamespace(ids=ids, label=label), splits=SimpleNamespace(classes=names))
    return disagreement(task, log_probs), seen[0]


def test_few_are_all_asked_about_and_counted() -> None:
    told, ids = asked({"a": 3, "b": 1, "c": 0}, {"a": 1.0, "b": 0.0, "c": 0.0})
    assert told == {"n": 4, "total": 0.75, "per_class": {"a": 1.0, "b": 0.0, "c": None}}
    assert ids.tolist() == [0, 1, 2, 3]


def test_of_many_as_many_of_each_class_and_the_total_weighs_them_by_what_was_kept() -> None:
    told, ids = asked({"often": 30_000, "rare": 300}, {"often": 0.05, "rare": 0.4})
    assert told["n"] == len(np.unique(ids)) == 2 * LOOKED_AT
    assert told["per_class"]["rare"] == pytest.approx(0.4, abs=0.1)
    assert told["per_class"]["often"] == pytest.approx(0.05, abs=0.05)
    rates = told["per_class"]
    assert told["total"] == pytest.approx((30_000 * rates["often"] + 300 * rates["rare"]) / 30_300)


def test_who_is_asked_lies_all_over_the_table() -> None:
    _, ids = asked({"a": 10_000}, {"a": 0.0})
    assert ids.max() > 9_900
    assert np.diff(ids.astype(int)).max() < 200
