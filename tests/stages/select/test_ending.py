import numpy as np

from stages.select.ending import collapsed, stop_reason
from stages.select.selection import Selection


def test_two_classes_or_labels_of_one_are_no_collapse() -> None:
    labelled = np.array([3, 0, 9])
    said = collapsed(np.array([0, 0, 40]), labelled, ("adi", "str", "tum"))
    assert said is not None
    assert said[0] == "one_class"
    assert "all 40 kept patches are called tum, and the labels have 2 classes" in said[1]
    assert collapsed(np.array([0, 0, 40]), np.array([0, 0, 9]), ("adi", "str", "tum")) is None
    assert collapsed(np.array([1, 0, 40]), labelled, ("adi", "str", "tum")) is None


def test_a_patch_seen_zero_times_is_not_kept() -> None:
    one = Selection.of(np.array([1], np.uint64), np.array([0]), np.array([0.5]), 0, copies=0)
    assert stop_reason(one, None, 5) == ("nothing_selected", "the rule kept none of 5 pool patches")


def test_the_same_selection_is_an_end_only_where_nothing_new_was_said() -> None:
    one = Selection.of(np.array([3], np.uint64), np.array([0]), np.array([0.9]), 1)
    none = Selection.of(np.empty(0, np.uint64), np.empty(0), np.empty(0), 1)
    for pool in (1, 9):
        reason = stop_reason(one, one, pool)
        assert reason is not None
        assert reason[0] == "no_change"
        assert stop_reason(one, one, pool, news=True) is None
    # without a pseudo-label there is no student, whatever was said
    assert stop_reason(none, one, 9, news=True) is not None
