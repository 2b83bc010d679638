"""Galleries show what their rules say, whatever the order of the pool."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.directory.layout import Layout
from pipeline.report.galleries import RULES, gallery, rare_classes
from pipeline.report.run import Earlier, Round, Run
from stages.scores import Scores


def said(predicted: list[int], confidence: list[float], kept: list[bool], margin: list[float] | None = None) -> Any:
    """A round of which a rule sees only arrays."""
    count = len(predicted)
    return SimpleNamespace(
        number=1,
        predicted=np.array(predicted, np.int16),
        confidence=np.array(confidence, np.float32),
        kept=np.array(kept),
        margin=np.array(margin or confidence, np.float32),
        pool=Scores(np.arange(count, dtype=np.uint64) * 3, np.zeros((count, 3))),
    )


def now() -> Any:
    return said(
        [0, 0, 0, 0, 1, 1, 2, 0],
        [0.9, 0.8, 0.99, 0.6, 0.7, 0.95, 0.85, 0.5],
        [True, True, True, False, True, True, False, False],
        [0.8, 0.05, 0.9, 0.3, 0.4, 0.9, 0.7, 0.1],
    )


BEFORE = Earlier(
    0,
    np.array([0, 1, 0, 0, 0, 1, -1, 2]),
    np.array([0.9, 0.6, 0.9, 0.9, 0.9, 0.9, np.nan, 0.9], np.float32),
    np.array([True, False, True, True, False, True, False, False]),
)


def rows(name: str, before: Earlier | None = BEFORE) -> list[int]:
    return gallery(name, now(), before, 0).tolist()


def test_each_rule_by_hand() -> None:
    assert rows("surest") == [2, 5, 0, 4, 1], "of each class the surest, in turn"
    assert rows("least_sure") == [4, 1, 0, 5, 2]
    assert sorted(rows("newly_in")) == [1, 4]
    assert rows("flipped") == [4, 1, 7], "first where both rounds were sure; a patch that was no pool did not flip"
    assert rare_classes(now()).tolist() == [2]
    assert rows("rejected_rare") == [6]
    assert rows("nearest_other") == [1, 4, 0, 2, 5]
    assert gallery("surest", now(), BEFORE, 0, 2).tolist() == [2, 5]


@pytest.mark.parametrize("name", ["newly_in", "flipped"])
def test_what_needs_a_round_before_is_empty_in_the_first(name: str) -> None:
    assert rows(name, None) == []


@pytest.mark.parametrize("name", RULES)
def test_every_rule_on_a_real_run_finds_what_it_is_about(name: str, slides_run: Layout) -> None:
    run = Run.open(slides_run)
    before, found = run.round(1), run.round(2)
    earlier = before.at(found.pool.ids)
    chosen = gallery(name, found, earlier, run.seed)
    assert len(chosen) == len(set(chosen.tolist()))
    if name == "rejected_rare":
        assert not found.kept[chosen].any()
    elif name != "flipped":
        assert found.kept[chosen].all()
        assert len(chosen)
    again = gallery(name, Run.open(slides_run).round(2), earlier, run.seed)
    np.testing.assert_array_equal(chosen, again)


def test_flipped_are_as_many_as_the_churn_of_quality(slides_run: Layout) -> None:
    run = Run.open(slides_run)
    found: Round = run.round(2)
    flipped = gallery("flipped", found, run.round(1).at(found.pool.ids), run.seed)
    assert len(flipped) == round(found.found["quality"]["total"]["churn"] * len(found.pool))
