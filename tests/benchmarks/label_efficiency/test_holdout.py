"""Who is judged: whole groups, drawn by seed; labels and validation within one budget."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.label_efficiency.holdout import budget, counts, manifest, sides
from benchmarks.label_efficiency.listing import judged_split
from data.errors import ChainError
from data.splits.written import LABELLED, TEST, VALIDATION
from tests.benchmarks.label_efficiency.listings import listing


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def keys(content: bytes, split: str) -> set[str]:
    return {row["path"] for row in rows(content) if row["split"] == split}


def test_groups_stand_on_one_side_and_a_quarter_of_each_class_is_judged() -> None:
    found = listing()
    for seed in range(3):
        side = sides(found, seed)
        assert all(len(set(side[found.group == group])) == 1 for group in np.unique(found.group))
        for name in found.classes:
            share = ((side == TEST) & (found.label == name)).sum() / (found.label == name).sum()
            assert 0.15 < share < 0.35


def test_sides_are_a_function_of_the_seed() -> None:
    found = listing()
    np.testing.assert_array_equal(sides(found, 1), sides(found, 1))
    assert (sides(found, 1) != sides(found, 2)).any()


def test_a_split_that_a_set_states_is_kept() -> None:
    said = np.array(["train", "val", "pool", ""])
    assert list(judged_split(np.array(["train", "validation", "pool"]))) == ["", "test", "pool"]
    assert list(judged_split(np.array(["test", "validation", ""]))) == ["test", "", ""]
    assert list(judged_split(said)) == ["", "", "pool", ""]


@settings(max_examples=60, deadline=None)
@given(st.floats(0.001, 0.5), st.floats(0.05, 0.6), st.integers(2, 5000))
def test_labels_that_judge_are_paid_from_the_same_budget(fraction: float, share: float, available: int) -> None:
    training, judging = budget(fraction, share, available)
    assert training >= 1
    assert judging >= 1
    assert training + judging == max(2, max(1, np.floor(fraction * available + 0.5)))
    assert budget(fraction, 0.0, available)[1] == 0


def test_a_manifest_holds_the_budget_and_nothing_of_what_is_set_aside_besides() -> None:
    found = listing(unlabelled=300)
    side = sides(found, 0)
    content = manifest(found, side, 0, dict.fromkeys("abc", 6), dict.fromkeys("abc", 2))
    assert len(keys(content, "labelled")) == 18
    assert len(keys(content, "validation")) == 6
    assert keys(content, "test") == set(found.key[side == TEST])
    assert keys(content, "validation") <= set(found.key[side == VALIDATION])
    assert keys(content, "labelled") <= set(found.key[side == LABELLED])
    held_out = {row["patient"] for row in rows(content) if row["split"] in ("test", "validation")}
    assert not held_out & {row["patient"] for row in rows(content) if row["split"] in ("labelled", "pool")}
    assert any(row["split"] == "pool" and not row["label"] for row in rows(content))


def test_more_labels_contain_fewer_and_rows_share_test_and_pool() -> None:
    found = listing()
    side = sides(found, 0)
    few, more, bare = (
        manifest(found, side, 0, dict.fromkeys("abc", n), dict.fromkeys("abc", v)) for n, v in ((3, 1), (9, 4), (3, 0))
    )
    for split in ("labelled", "validation"):
        assert keys(few, split) < keys(more, split)
    assert keys(few, "test") == keys(more, "test") == keys(bare, "test")
    assert keys(few, "pool") == keys(bare, "pool")
    every = manifest(found, side, 0, None, {})
    assert keys(every, "labelled") == keys(few, "labelled") | keys(few, "pool")
    assert not keys(every, "pool")


def test_a_pool_that_is_thinned_loses_patches_of_that_class_alone_and_no_labels() -> None:
    found = listing(unlabelled=300)
    side = sides(found, 0)
    labels, judging = dict.fromkeys("abc", 6), dict.fromkeys("abc", 2)
    whole = manifest(found, side, 0, labels, judging)
    thin, thinner = (manifest(found, side, 0, labels, judging, {"b": share}) for share in (0.5, 0.1))
    for part in ("labelled", "validation", "test"):
        assert keys(thin, part) == keys(whole, part)
    of = {row["path"]: row["label"] for row in rows(whole)}
    lost = keys(whole, "pool") - keys(thin, "pool")
    assert {of[key] for key in lost} == {"b"}
    before = sum(of[key] == "b" for key in keys(whole, "pool"))
    assert 0.3 * before < len(lost) < 0.7 * before
    assert keys(thinner, "pool") < keys(thin, "pool")


def test_labels_of_few_patients_are_of_these_alone_and_all_else_is_as_it_was() -> None:
    found = listing(unlabelled=300)
    side = sides(found, 0)
    labels, judging = dict.fromkeys("abc", 6), dict.fromkeys("abc", 2)
    whole, few = (manifest(found, side, 0, labels, judging, groups=count) for count in (0, 2))
    # every patient has each class, so the first two are the same of all classes
    assert len({row["patient"] for row in rows(few) if row["split"] == "labelled"}) == 2
    assert len({row["patient"] for row in rows(whole) if row["split"] == "labelled"}) > 5
    assert len(keys(few, "labelled")) == len(keys(whole, "labelled"))
    for part in ("validation", "test"):
        assert keys(few, part) == keys(whole, part)
    assert keys(few, "labelled") | keys(few, "pool") == keys(whole, "labelled") | keys(whole, "pool")


def test_of_copies_one_is_labelled() -> None:
    found = listing(patients=30)
    side = sides(found, 0)
    twins = np.flatnonzero((side == LABELLED) & (found.label == "a"))
    found.pixels[twins] = found.pixels[twins[0]]
    assert len(keys(manifest(found, side, 0, dict.fromkeys("abc", 5), {}), "labelled")) == 1 + 5 + 5
    assert counts(found, side)["a"] == len(twins)


def test_too_few_patients_are_refused_with_what_the_table_can_be_told() -> None:
    with pytest.raises(ChainError, match="nothing can be drawn from 2 units") as refusal:
        sides(listing(patients=2), 0)
    # keys of a chain are not read here
    assert "splits.validation: 0" not in refusal.value.todo
    assert "more patients or slides" in refusal.value.todo
