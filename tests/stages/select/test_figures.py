"""quality.json by hand."""

from unittest.mock import ANY

import numpy as np
import pytest

from stages.select.figures import Beliefs, Kept, alarms, figures, percent


def beliefs(**changes):
    """Ten pool patches of two classes; 0-5 predicted "a", 6-9 "b"; kept 0, 1, 2 as a and 6 as b."""
    given = {
        "classes": ("a", "b"),
        "predicted": np.array([0] * 6 + [1] * 4),
        "before": np.array([0] * 4 + [1] * 4 + [0] * 2),
        "kept": Kept(np.array([0, 1, 2, 6]), np.array([0, 0, 0, 1]), np.array([0.9, 0.8, 0.7, 1.0], np.float32)),
        "kept_before": Kept(np.array([0, 1, 7]), np.array([0, 1, 1]), np.array([0.9, 0.9, 0.9], np.float32)),
        "places": np.arange(10),
        "truth": np.array([0, 1, -1, 0, 0, 1, 1, 1, -1, -1]),
        "validation_confidence": np.array([0.9, 0.9, 0.6]),
        "validation_predicted": np.array([0, 0, 1]),
        "validation_label": np.array([0, 1, 1]),
        "labels": np.array([6, 2]),
    }
    return Beliefs(**(given | changes))


def test_the_total():
    total = figures(beliefs())
    assert total == {
        "predicted": 10,
        "kept": 4,
        "pseudo_labels": 4,
        "coverage": 0.4,
        "confidence_mean": pytest.approx(0.85),
        "confidence_p10": pytest.approx(0.73),
        "calibration_error": pytest.approx((abs(1.8 - 1) + abs(0.6 - 1)) / 3, abs=1e-6),
        "share_kept": 1,
        "share_labels": 1,
        "churn": 0.4,
        "kept_churn": pytest.approx(1 - 1 / 6, abs=1e-6),
        "top5_share": 1,
        "audit": {
            "precision": pytest.approx(2 / 3, abs=1e-6),
            "recall": pytest.approx(2 / 7, abs=1e-6),
            "n": 3,
            "ece": ANY,
        },
    }


def test_a_class():
    a, b = (figures(beliefs(), code) for code in (0, 1))
    assert (a["predicted"], a["kept"], a["coverage"], a["share_kept"], a["share_labels"]) == (6, 3, 0.5, 0.75, 0.75)
    assert (b["predicted"], b["kept"], b["coverage"], b["share_kept"], b["share_labels"]) == (4, 1, 0.25, 0.25, 0.25)
    assert (a["churn"], b["churn"]) == (pytest.approx(2 / 6, abs=1e-6), 0.5)
    assert (a["kept_churn"], b["kept_churn"]) == (pytest.approx(2 / 3, abs=1e-6), 1.0)
    assert a["calibration_error"] == pytest.approx(0.4)
    assert b["calibration_error"] == pytest.approx(0.4)
    assert a["audit"] == {"precision": 0.5, "recall": pytest.approx(1 / 3, abs=1e-6), "n": 2, "ece": ANY}
    assert b["audit"] == {"precision": 1.0, "recall": 0.25, "n": 1, "ece": 0}
    # kept as a and known: confidence 0.9 right, 0.8 wrong
    assert a["audit"]["ece"] == pytest.approx((0.1 + 0.8) / 2)


def test_a_patch_under_two_labels_is_one_patch_and_two_beliefs():
    kept = Kept(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.5, 0.4, 0.6], np.float32))
    total = figures(beliefs(kept=kept))
    assert total["kept"] == 2
    assert total["audit"]["n"] == 3
    assert figures(beliefs(kept=kept), 1)["share_kept"] == pytest.approx(1 / 3, abs=1e-6)


def test_what_is_not_known_is_null():
    empty = Kept(*(np.empty(0, dtype) for dtype in (np.int64, np.int16, np.float32)))
    nothing = np.empty(0)
    total = figures(
        beliefs(
            before=None,
            kept=empty,
            kept_before=None,
            truth=np.full(10, -1),
            validation_confidence=nothing,
            validation_predicted=nothing,
            validation_label=nothing,
        )
    )
    for name in (
        "confidence_mean",
        "confidence_p10",
        "calibration_error",
        "share_kept",
        "churn",
        "kept_churn",
        "audit",
    ):
        assert total[name] is None, name
    assert (total["kept"], total["coverage"]) == (0, 0)


def test_alarms_name_the_class_with_both_shares():
    many = Kept(np.arange(10), np.array([0] * 9 + [1]), np.ones(10, np.float32))
    assert alarms(beliefs(kept=many, labels=np.array([5, 5]), before=None)) == [
        "class b: 10 % of the kept patches, 50 % of the labels"
    ]
    assert alarms(beliefs()) == []


def test_a_class_that_is_rare_in_the_pool_is_no_alarm_where_the_pool_is_taken_so():
    """Half of the labels are of the second class, and one kept patch in ten: as common as it is in this pool."""
    kept = Kept(np.arange(10), np.array([0] * 9 + [1]), np.ones(10, np.float32))
    rare = beliefs(kept=kept, labels=np.array([5, 5]), before=None)
    assert len(alarms(rare)) == 1
    assert alarms(rare, np.array([0.88, 0.12])) == []
    assert alarms(rare, np.array([0.98, 0.02])) == ["class b: 10 % of the kept patches, 2 % of the pool as it is taken"]


def test_alarm_when_most_minds_change():
    changed = beliefs(before=np.array([1] * 6 + [1] * 4))
    assert alarms(changed) == ["the predicted class of 60 % of the pool changed since the round before"]


def test_percent_is_for_people():
    assert [percent(share) for share in (0.004, 0.02, 0.2, 1.0, 0.0)] == ["0.4 %", "2 %", "20 %", "100 %", "0 %"]


def test_coverage_never_exceeds_one_though_a_patch_stands_under_several_labels():
    kept = Kept(np.array([0, 0, 1, 6]), np.array([0, 1, 1, 1]), np.array([0.9, 0.8, 0.7, 1.0], np.float32))
    total, b = figures(beliefs(kept=kept)), figures(beliefs(kept=kept), 1)
    assert (total["kept"], total["pseudo_labels"], total["coverage"]) == (3, 4, 0.3)
    assert (b["predicted"], b["pseudo_labels"], b["coverage"]) == (4, 3, 0.25)
