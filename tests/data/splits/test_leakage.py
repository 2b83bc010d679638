"""The audit finds what is there, by name, and nothing else."""

import numpy as np
import pytest

from data.errors import ExitCode
from data.splits.leakage import audit, drop_copies, leak_error
from data.splits.written import LABELLED, POOL, SPLITS, TEST, UNUSED, VALIDATION
from tests.data.splits.test_units import table

CODES = {name[0]: code for code, name in enumerate(SPLITS)}  # l p v t u


def codes(text):
    return np.array([CODES[letter] for letter in text], np.int8)


def test_patient_may_be_labelled_and_pool_but_nothing_else():
    assert audit(table("AAB"), codes("lpt")) == []
    assert audit(table("AAB"), codes("tut")) == []
    [leak] = audit(table("AAB"), codes("ptt"))
    assert (leak.kind, leak.name, leak.splits) == ("patient", "A", ("pool", "test"))


def test_slide_of_two_patients_in_two_splits_is_no_leak():
    assert audit(table("AB", ["1", "1"]), codes("lt")) == []


def test_slide_without_patient_leaks():
    [leak] = audit(table("", ["1", "1"]), codes("vt"))
    assert (leak.kind, leak.name, leak.splits) == ("slide", "1", ("validation", "test"))


@pytest.mark.parametrize("text", ["lp", "lv", "lt", "pv", "pt", "vt"])
def test_same_pixels_leak_between_any_two_splits(text):
    [leak] = audit(table(["", ""], pixels=[5, 5]), codes(text))
    assert leak.kind == "pixels"
    assert {name[0] for name in leak.splits} == set(text)


def test_a_forced_smaller_unit_declares_that_patients_are_divided():
    some = table("AA", ["1", "1"])
    assert {leak.kind for leak in audit(some, codes("lt"))} == {"patient", "slide"}
    assert {leak.kind for leak in audit(some, codes("lt"), "slide")} == {"slide"}
    assert audit(some, codes("lt"), "patch") == []


def test_one_leak_a_patient_however_many_sides():
    leaks = audit(table("AAABB"), codes("lvtlt"))
    assert [(leak.name, leak.splits) for leak in leaks] == [
        ("A", ("labelled", "validation")),
        ("B", ("labelled", "test")),
    ]


def test_refusal_names_patient_splits_places_and_the_rest():
    some = table("AABB", pixels=[1, 1, 2, 3])
    error = leak_error(audit(some, codes("ltvp")), some, lambda row: f"file{row}.png")
    assert error.code == ExitCode.BAD_DATA
    for part in ("patient A", "labelled", "test", "main:file0.png", "main:file1.png", "1 patients", "1 pixel copies"):
        assert part in error.what, part


def test_copies_leave_pool_then_labelled_never_validation_or_test():
    some = table([""] * 7, pixels=[1, 1, 2, 2, 3, 3, 3])
    after = drop_copies(some, codes("lptlvlp"))
    assert after.tolist() == [LABELLED, UNUSED, TEST, UNUSED, VALIDATION, UNUSED, UNUSED]
    assert audit(some, after) == []
    mutual = table([""] * 2, pixels=[1, 1])
    assert drop_copies(mutual, codes("vt")).tolist() == [VALIDATION, TEST]
    assert len(audit(mutual, drop_copies(mutual, codes("vt")))) == 1


def test_row_order_does_not_matter():
    rng = np.random.default_rng(0)
    some = table(rng.integers(0, 20, 200).astype(str).tolist(), rng.integers(0, 30, 200).astype(str).tolist())
    split = rng.integers(0, 5, 200)
    order = rng.permutation(200)
    from data.splits.drawing import _take

    def found(one, what):
        return [
            (leak.kind, leak.name, leak.splits, {int(one.ids[row]) for row in leak.rows}) for leak in audit(one, what)
        ]

    assert found(some, split) == found(_take(some, order), split[order])
    assert POOL in split
