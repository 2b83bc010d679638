"""Laws of folds: each given label judges exactly once, whole patients at a time, and nothing else moves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ChainError, ExitCode
from data.splits.config import LabelCount, LabelFraction, SplitsConfig
from data.splits.folds import folds_of
from data.splits.leakage import audit
from data.splits.written import LABELLED, POOL, TEST, UNUSED, VALIDATION, load_splits, write_splits
from tests.data.splits.test_drawing import Case, random_case

LABELS = st.sampled_from([LabelFraction(fraction=0.4), LabelCount(count=15), "all"])


def folds(case, count, **config):
    return [case.codes(case.draw(folds=count, fold=k, **config)) for k in range(count)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), LABELS, st.sampled_from(["refuse", "drop"]))
def test_every_given_label_judges_once_and_trains_in_all_other_folds(seed, count, labels, duplicates):
    case = random_case(seed)
    config = {"labels": labels, "seed": seed, "duplicates": duplicates, "test": 0.2}
    whole = case.codes(case.draw(validation=0, **config))
    for codes in (drawn := folds(case, count, **config)):
        assert np.isin(codes[whole == LABELLED], (LABELLED, VALIDATION)).all()
        assert (whole[codes == VALIDATION] == LABELLED).all()
        assert np.array_equal(codes == TEST, whole == TEST)
        assert (whole[codes == POOL] == POOL).all()
        assert set(case.label.take(codes == LABELLED).codes) == set(case.label.take(whole == LABELLED).codes)
    judged = np.stack([codes == VALIDATION for codes in drawn])
    assert np.array_equal(judged.sum(axis=0), whole == LABELLED)
    assert judged.any(axis=1).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), LABELS)
def test_a_fold_shares_no_patient_slide_or_pixels_with_what_teaches(seed, count, labels):
    case = random_case(seed)
    for codes in folds(case, count, labels=labels, seed=seed):
        assert audit(case.table, codes) == []
        taught = np.isin(codes, (LABELLED, POOL))
        for column in (case.table.patient.codes, case.table.slide.codes, case.table.pixels[:, 0].astype(np.int64)):
            names = set(column[codes == VALIDATION].tolist()) - {-1}
            if column is not case.table.slide.codes:  # "slide 1" of two patients is two slides: the audit knows
                assert not names & set(column[taught].tolist())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_folds_are_a_function_of_seed_and_ids(seed):
    case = random_case(seed)
    config = {"labels": LabelCount(count=15), "folds": 3, "fold": 1}
    one = case.draw(**config)
    other = case.draw(np.random.default_rng(seed).permutation(300), **config)
    assert np.array_equal(one.split, other.split)
    assert one.warnings == other.warnings
    seeds = [case.draw(**config, validation=0, test=0, seed=of).split == VALIDATION for of in range(4)]
    assert len({tuple(split) for split in seeds}) > 1


def test_another_seed_leaves_out_others_of_units_that_are_alike():
    counts, ids = np.ones((20, 2), np.int64), np.arange(20, dtype=np.uint64)
    found = [folds_of(counts, ids, 4, seed) for seed in (0, 0, 1)]
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_larger_label_sets_hold_the_smaller_ones_whatever_the_fold():
    case = Case(600, patient=[f"p{i % 40}" for i in range(600)])
    sets = []
    for labels in (LabelCount(count=10), LabelCount(count=30), "all"):
        codes = case.codes(case.draw(labels=labels, folds=4, fold=2))
        sets.append(set(np.flatnonzero(np.isin(codes, (LABELLED, VALIDATION))).tolist()))
    assert sets[0] < sets[1] < sets[2]


def test_folds_are_even_a_class():
    drawn = folds(Case(3000), 5, labels=LabelCount(count=100), test=0)
    by_class = [np.bincount(np.arange(3000)[codes == VALIDATION] % 3).tolist() for codes in drawn]
    assert by_class == [[20, 20, 20]] * 5
    patients = Case(3000, patient=[f"p{k}" for k in np.random.default_rng(0).integers(0, 60, 3000)])
    sizes = [int((codes == VALIDATION).sum()) for codes in folds(patients, 5, test=0)]
    assert max(sizes) < 1.3 * min(sizes)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(2, 5))
def test_units_of_several_classes_leave_every_fold_each_class(seed, count, classes):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, (4 * count, classes)) * (rng.random((4 * count, classes)) < 0.5)
    counts[:, 0] += ~counts.any(axis=1)  # a unit has a label of something
    counts = np.concatenate([counts, np.repeat(np.eye(classes, dtype=np.int64), 2, axis=0)])
    fold = folds_of(counts, rng.permutation(len(counts)).astype(np.uint64), count, seed)
    assert fold is not None
    for k in range(count):
        assert counts[fold != k].sum(axis=0).all()
        assert (fold == k).any()


def test_where_a_fold_would_take_a_class_whole_there_are_none():
    counts = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]])  # a class is in two units, a fold of two has one
    assert folds_of(counts, np.arange(3, dtype=np.uint64), 2, 0) is None
    assert folds_of(counts, np.arange(3, dtype=np.uint64), 3, 0) is not None
    case = Case(6, label=[*"ABACBC"], patient=[*"112233"])
    with pytest.raises(ChainError, match="takes all labels of a class") as caught:
        case.draw(folds=2, fold=0, test=0)
    assert "fewer folds" in caught.value.todo


def test_too_few_patients_of_a_class_are_refused_by_name_in_every_fold():
    patient = [f"p{i % 12}" for i in range(120)]
    label = ["C" if i % 12 < 3 else "AB"[i // 12 % 2] for i in range(120)]
    case = Case(120, patient=patient, label=label)
    for fold in range(5):
        with pytest.raises(ChainError) as caught:
            case.draw(folds=5, fold=fold, test=0)
        assert caught.value.code == ExitCode.BAD_DATA
        assert "labels of class C come from only 3 of the patients" in caught.value.what
        assert "use fewer folds: 3" in caught.value.todo
    assert len(folds(case, 3, test=0)) == 3
    with pytest.raises(ChainError, match="class B come from only 1") as caught:
        Case(40, patient=[f"p{i // 2}" for i in range(40)], label=[*"BB", *"AC" * 19]).draw(folds=2, fold=0, test=0)
    assert "in a second one" in caught.value.todo


def test_the_pool_of_the_patients_that_are_left_out_is_not_used():
    patient = [f"p{i % 10}" for i in range(400)]
    case = Case(400, patient=patient)
    for codes in folds(case, 5, labels=LabelCount(count=10), test=0):
        left = {patient[row] for row in np.flatnonzero(codes == VALIDATION)}
        assert {patient[row] for row in np.flatnonzero(codes == UNUSED)} == left
        assert not {patient[row] for row in np.flatnonzero(codes == POOL)} & left
    warnings = case.draw(labels=LabelCount(count=10), folds=5, fold=0, test=0).warnings
    assert any("with the fold that is left out" in warning for warning in warnings)
    alone = Case(400).draw(labels=LabelCount(count=10), folds=5, fold=0, test=0)
    assert (alone.split != UNUSED).all()
    assert any("30 labelled patches are left out patch by patch" in warning for warning in alone.warnings)


def test_folds_beside_given_validation_are_refused():
    case = Case(90, split=["train"] * 60 + ["validation"] * 30)
    with pytest.raises(ChainError, match="30 patches are given as validation") as caught:
        case.draw(folds=3, fold=0)
    assert caught.value.code == ExitCode.BAD_DATA


def test_a_fold_decides_nothing_and_is_written_down(tmp_path):
    case = Case(90)
    plain, fold = case.draw(test=0, validation=0.2), case.draw(test=0, folds=3, fold=1)
    for drawn, name, decides in ((plain, "plain", 18), (fold, "fold", 0)):
        (tmp_path / name).mkdir()
        write_splits(tmp_path / name, drawn, [0.5], [0.2])
        splits = load_splits(tmp_path / name)
        assert len(splits.deciding) == decides
        assert splits.fold == drawn.fold
    assert len(splits.validation) == 30
    assert b"fold" not in (tmp_path / "plain" / "splits.json").read_bytes()
    assert SplitsConfig().recipe().keys() == SplitsConfig.model_fields.keys() - {"folds", "fold"}
    assert SplitsConfig(folds=3, fold=1).recipe()["fold"] == 1
