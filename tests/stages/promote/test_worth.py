"""How many rounds are worth it: the gate's test, over folds, against the best before."""

import numpy as np
import pytest

from stages.measures.judged import Judged
from stages.promote.config import PromoteConfig
from stages.promote.stage import decide
from stages.promote.worth import choose, together
from tests.stages.promote.test_stage import judged

ACCURACY = PromoteConfig(metric="accuracy", gate=False)  # off in the folds, and asked all the same


def folds(whole: Judged, count: int = 4) -> list[Judged]:
    """Cut by patient."""
    return [
        Judged(whole.ids[rows], whole.log_probs[rows], whole.label[rows], whole.group[rows])
        for rows in (whole.group % count == k for k in range(count))
    ]


def models(*accuracies: float, n: int = 1000, per_patient: int = 10) -> list[list[Judged]]:
    return [folds(judged(one, n, seed, per_patient)) for seed, one in enumerate(accuracies)]


def test_folds_are_put_together_by_id() -> None:
    whole = judged(0.8)
    for name in ("ids", "log_probs", "label", "group"):
        assert np.array_equal(getattr(together(folds(whole)[::-1]), name), getattr(whole, name))
    with pytest.raises(AssertionError, match="one chain alone"):
        together([whole, whole])


@pytest.mark.parametrize(
    ("accuracies", "chosen", "against"),
    [
        ((0.7, 0.8, 0.9), 2, [0, 1]),
        ((0.7, 0.9, 0.8), 1, [0, 1]),
        ((0.9, 0.8, 0.7), 0, [0, 0]),
        ((0.7, 0.6, 0.8), 2, [0, 0]),  # a round that loses can be made good by the next
        ((0.8, 0.8, 0.8), 2, [0, 1]),  # of equal ones the last is the best
        ((0.7,), 0, []),
    ],
)
def test_a_round_is_worth_it_unless_it_is_worse_than_the_best_before(
    accuracies: tuple[float, ...], chosen: int, against: list[int]
) -> None:
    found = choose(ACCURACY, models(*accuracies), 0)
    assert found["chosen"] == chosen
    assert [row["against"] for row in found["rounds"][1:]] == against
    assert [row["figure"] for row in found["rounds"]] == pytest.approx(accuracies)
    assert all(row["interval"][0] < row["figure"] < row["interval"][1] for row in found["rounds"])
    assert (found["labels"], found["groups"]) == (1000, 100)


def test_small_losses_do_not_add_up() -> None:
    drifting = [0.80 - 0.009 * n for n in range(6)]
    found = choose(ACCURACY, models(*drifting, n=600), 0)
    assert {row["against"] for row in found["rounds"][1:]} == {0}
    assert not found["rounds"][5]["passes"]
    assert found["chosen"] < 5


def test_doubt_is_told_and_takes_the_round_unless_the_figure_alone_is_to_decide() -> None:
    few = models(0.80, 0.78, n=50, per_patient=1)
    found = choose(ACCURACY, few, 0)
    assert found["chosen"] == 1
    assert "cannot tell the two apart" in found["why"]
    assert "0.800 with 0 rounds -> 0.780 with 1" in found["why"]
    strict = ACCURACY.model_copy(update={"worse_limit": 0.5})
    assert choose(strict, few, 0)["chosen"] == 0
    assert "found worse than the labels alone" in choose(strict, few, 0)["why"]
    assert choose(ACCURACY.model_copy(update={"test": "bare"}), few, 0)["chosen"] == 0


def test_it_is_the_gate_over_all_labels() -> None:
    first, second = judged(0.8, 200), judged(0.77, 200, seed=1)
    found = choose(ACCURACY, [folds(first), folds(second)], 7)
    gate = decide(ACCURACY.model_copy(update={"gate": True}), first, second, 0)
    row = found["rounds"][1]
    assert row["passes"] == (gate["winner"] == "student")
    assert row["difference"] == gate["difference"]
    np.testing.assert_allclose(row["difference_interval"], gate["interval"], atol=0.02)
    turned = choose(ACCURACY, [folds(first)[::-1], folds(second)[::-1]], 7)
    assert [one.pop("folds")[::-1] for one in turned["rounds"]] == [one.pop("folds") for one in found["rounds"]]
    assert turned == found
