"""Reviewed labels: they join the given ones, leave the pool, and never come from what is held out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ChainError, ExitCode
from data.patches.labels import GivenLabels
from data.splits.reviewed import REJECTED, Reviewed, honoured, left_out, read_review, read_reviews, write_review
from data.splits.written import Splits

CLASSES = ("benign", "reject", "tumour")
SPLITS = Splits(
    CLASSES,
    labelled=GivenLabels(np.array([1, 5], np.uint64), np.array([0, 2], np.int16)),
    validation=GivenLabels(np.array([2], np.uint64), np.array([0], np.int16)),
    test=GivenLabels(np.array([9], np.uint64), np.array([1], np.int16)),
    pool=np.array([3, 4, 6, 7, 8], np.uint64),
    mean=(0.5,),
    std=(0.2,),
)


def test_a_reviewed_patch_leaves_the_pool_and_a_label_joins_the_given_ones() -> None:
    now = honoured(SPLITS, Reviewed.of({3: 2, 7: REJECTED, 5: 1}))
    assert now.pool.tolist() == [4, 6, 8]
    assert now.labelled.ids.tolist() == [1, 3, 5]
    assert now.labelled.label.tolist() == [0, 2, 1]
    assert honoured(SPLITS, Reviewed.of({1: REJECTED})).labelled.ids.tolist() == [5]


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.integers(1, 12), st.integers(-1, 2)))
def test_nothing_held_out_ever_teaches(said: dict[int, int]) -> None:
    reviewed = Reviewed.of(said)
    now = honoured(SPLITS, reviewed)
    held = {2, 9}
    assert not held & set(now.labelled.ids.tolist()) | held & set(now.pool.tolist())
    assert now.validation is SPLITS.validation
    assert now.test is SPLITS.test
    assert not set(now.pool.tolist()) & set(said)
    assert not set(now.labelled.ids.tolist()) & set(now.pool.tolist())
    rejected = {one for one, code in said.items() if code == REJECTED}
    assert not rejected & set(now.labelled.ids.tolist())
    for one, code in zip(now.labelled.ids.tolist(), now.labelled.label.tolist(), strict=True):
        assert code == said.get(one, {1: 0, 5: 2}.get(one))
    assert left_out(SPLITS, reviewed) == len(set(said) & {2, 9, 10, 11, 12})
    again = honoured(now, Reviewed.of({}))
    assert again.pool.tolist() == now.pool.tolist()


def test_a_later_review_counts_over_an_earlier_one(tmp_path: Path) -> None:
    for name, said in (("a", {3: 0, 4: REJECTED}), ("b", {4: 2, 6: 1})):
        write_review(tmp_path / name, Reviewed.of(said), CLASSES)
    found = read_reviews([tmp_path / "a", tmp_path / "b"], CLASSES)
    assert dict(zip(found.ids.tolist(), found.label.tolist(), strict=True)) == {3: 0, 4: 2, 6: 1}


def test_classes_are_kept_by_name_and_a_class_may_be_called_reject(tmp_path: Path) -> None:
    write_review(tmp_path / "a", Reviewed.of({3: 2, 4: 1, 6: REJECTED}), CLASSES)
    found = read_review(tmp_path / "a", ("adipose", *CLASSES))
    assert found.label.tolist() == [3, 2, REJECTED]
    with pytest.raises(ChainError) as caught:
        read_review(tmp_path / "a", ("benign", "tumour"))
    assert caught.value.code == ExitCode.MISMATCH
    assert "'reject'" in caught.value.what


def test_equal_reviews_are_equal_bytes_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    write_review(tmp_path / "a", Reviewed.of({3: 2, 4: 1}), CLASSES)
    write_review(tmp_path / "b", Reviewed.of({4: 1, 3: 2}), CLASSES)
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes()
    (tmp_path / "a").write_bytes(content[:-9])
    with pytest.raises(ChainError) as caught:
        read_review(tmp_path / "a", CLASSES)
    assert caught.value.code == ExitCode.DAMAGED
