"""Laws of drawing: nothing leaks, nothing moves, everything is accounted for."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import ChainError, ExitCode
from data.patches.table import Column, PatchTable
from data.splits.config import LabelCount, LabelFraction, SplitsConfig
from data.splits.drawing import _take, draw
from data.splits.leakage import audit
from data.splits.written import LABELLED, POOL, SPLITS, TEST, UNUSED, VALIDATION

CLASSES = ("A", "B", "C")


class Case:
    """Patches with everything the sources say, in one object that can be shuffled."""

    def __init__(self, n, patient=None, slide=None, label=None, split=None, part=None, pixels=None, seed=0):
        rng = np.random.default_rng(seed)
        contents = np.arange(n) if pixels is None else np.array(pixels)
        self.table = PatchTable(
            rng.permutation(n).astype(np.uint64) * 1009 + 1,
            np.stack([contents, contents + 1], axis=1).astype(np.uint64),
            Column.of(["main"] * n),
            Column.of(patient or [""] * n),
            Column.of(slide or [""] * n),
            Column.of([""] * n),
        )
        self.label = Column.of(label if label is not None else [CLASSES[i % 3] for i in range(n)])
        self.split = Column.of(split or [""] * n)
        self.part = Column.of(part or ["split"] * n)

    def draw(self, order=None, **config):
        rows = np.arange(len(self.table)) if order is None else order
        columns = (Column.of([column[int(row)] for row in rows]) for column in (self.label, self.split, self.part))
        return draw(
            _take(self.table, rows), *columns, CLASSES, SplitsConfig(**config), lambda row: f"{int(rows[row])}.png"
        )

    def codes(self, drawn):
        """Split codes in the case's own row order."""
        return drawn.split[np.searchsorted(drawn.ids, self.table.ids)]


def random_case(seed, n=300, patients=25, copies=40):
    """About n / (2 * copies) pairs of patches with the same pixels."""
    rng = np.random.default_rng(seed)
    return Case(
        n,
        patient=[f"p{k}" if k else "" for k in rng.integers(0, patients, n)],
        slide=[f"s{k}" if k else "" for k in rng.integers(0, 60, n)],
        label=[str(k) for k in rng.choice(["", *CLASSES], n)],
        part=[str(k) for k in rng.choice(["split", "split", "split", "pool"], n)],
        pixels=rng.choice(n * copies, n),
        seed=seed,
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([LabelFraction(fraction=0.1), LabelCount(count=3), "all"]))
def test_drawing_never_makes_a_leak(seed, labels):
    case = random_case(seed)
    drawn = case.draw(labels=labels, seed=seed)
    assert audit(case.table, case.codes(drawn)) == []


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_dropping_many_copies_leaves_no_leak_and_no_more_than_copies_out(seed):
    case = random_case(seed, copies=2)
    codes = case.codes(case.draw(validation=0, test=0, duplicates="drop", labels=LabelCount(count=20), seed=seed))
    assert audit(case.table, codes) == []
    distinct = len(np.unique(case.table.pixels[:, 0]))
    assert len(np.unique(case.table.pixels[codes != UNUSED, 0])) == distinct
    drawn = case.codes(case.draw(duplicates="drop", seed=seed))
    assert audit(case.table, drawn) == []


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_no_validation_or_test_patient_in_pool(seed):
    case = random_case(seed)
    codes = case.codes(case.draw(labels=LabelCount(count=5), seed=seed))
    patient = case.table.patient.codes
    held = set(patient[np.isin(codes, (VALIDATION, TEST))].tolist()) - {-1}
    assert held
    assert not held & set(patient[np.isin(codes, (POOL, LABELLED))].tolist())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_row_order_does_not_matter(seed):
    case = random_case(seed)
    one = case.draw(labels=LabelFraction(fraction=0.2))
    other = case.draw(np.random.default_rng(seed).permutation(300), labels=LabelFraction(fraction=0.2))
    assert np.array_equal(one.ids, other.ids)
    assert np.array_equal(one.split, other.split)
    assert np.array_equal(one.label, other.label)
    assert one.warnings == other.warnings


def test_another_seed_labels_and_holds_out_others():
    case = random_case(0)
    labels = [case.codes(case.draw(labels=LabelCount(count=5), validation=0, test=0, seed=s)) for s in (4, 4, 5)]
    held_out = [np.isin(case.codes(case.draw(labels="all", seed=s)), (VALIDATION, TEST)) for s in (4, 4, 5)]
    for first, again, other in ([codes == LABELLED for codes in labels], held_out):
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_same_seed_nested_labels():
    case = Case(6000)
    sets = []
    for labels in (LabelFraction(fraction=0.005), LabelFraction(fraction=0.01), LabelCount(count=100), "all"):
        drawn = case.draw(labels=labels, seed=4)
        sets.append(set(drawn.ids[drawn.split == LABELLED].tolist()))
    assert [len(one) for one in sets[:3]] == [18, 36, 300]
    for small, large in itertools.pairwise(sets):
        assert small < large


def test_seeds_differ_and_repeat():
    case = Case(600)
    one, again, other = (case.draw(seed=seed).split for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_given_labels_never_change():
    case = random_case(3)
    drawn = case.draw()
    names = np.array([case.label[row] for row in range(300)])[np.argsort(case.table.ids)]
    assert all(
        (CLASSES[code] if code >= 0 else "") == name for code, name in zip(drawn.label.tolist(), names, strict=True)
    )


def test_shares_are_met_a_class_as_well_as_units_allow():
    drawn = Case(3000).draw(validation=0.1, test=50)
    for code, wanted in ((VALIDATION, 100), (TEST, 50)):
        assert np.bincount(drawn.label[drawn.split == code], minlength=3).tolist() == [wanted] * 3
    rng = np.random.default_rng(0)
    by_patient = Case(3000, patient=[f"p{k}" for k in rng.integers(0, 60, 3000)]).draw(validation=0.2, test=0.2)
    for code in (VALIDATION, TEST):
        counts = np.bincount(by_patient.label[by_patient.split == code], minlength=3)
        assert np.abs(counts - 200).max() < 50, counts


def test_part_decides_for_a_source_and_rows_decide_within_split():
    parts = ["labelled"] * 6 + ["pool"] * 6 + ["validation"] * 6 + ["test"] * 6
    case = Case(24, part=parts, split=["test"] * 12 + ["train"] * 12)
    codes = case.codes(case.draw())
    assert [SPLITS[code] for code in codes] == parts
    rows = ["train"] * 6 + ["pool"] * 6 + ["validation"] * 6 + ["test"] * 6
    by_row = Case(24, split=rows)
    assert [SPLITS[code] for code in by_row.codes(by_row.draw())] == ["labelled"] * 6 + rows[6:]


def test_given_labelled_rows_are_not_thinned_and_train_rows_are():
    case = Case(90, split=["labelled"] * 30 + ["train"] * 60)
    codes = case.codes(case.draw(labels=LabelCount(count=2)))
    assert (codes[:30] == LABELLED).all()
    assert (codes[30:] == LABELLED).sum() == 6
    assert (codes[30:] == POOL).sum() == 54


def test_given_validation_and_test_are_not_drawn_beside_unless_asked():
    split = ["validation"] * 30 + ["test"] * 30 + [""] * 240
    case = Case(300, split=split)
    assert np.isin(case.codes(case.draw())[60:], (LABELLED,)).all()
    asked = case.codes(case.draw(test=0.25))
    assert (asked[60:] == TEST).sum() == 60
    assert (asked[60:] == VALIDATION).sum() == 0


def test_unlabelled_patches_of_held_out_patients_are_unused():
    patient = [f"p{i // 10}" for i in range(200)]
    label = ["" if i % 10 > 5 else CLASSES[i % 3] for i in range(200)]
    case = Case(200, patient=patient, label=label)
    drawn = case.draw()
    codes = case.codes(drawn)
    for row in range(200):
        held = np.isin(codes[row // 10 * 10 : row // 10 * 10 + 10], (VALIDATION, TEST)).any()
        expected = (UNUSED,) if held and not label[row] else (VALIDATION, TEST) if held else (LABELLED, POOL)
        assert codes[row] in expected
    assert (codes == UNUSED).any()


def test_rest_of_a_given_test_patient_is_unused():
    case = Case(60, patient=["T"] * 6 + [f"p{i}" for i in range(54)], split=["test"] * 3 + [""] * 57)
    drawn = case.draw()
    assert case.codes(drawn)[:6].tolist() == [TEST] * 3 + [UNUSED] * 3
    assert any("3 patches are left unused" in warning for warning in drawn.warnings)


def test_pool_source_copy_of_given_test_is_left_for_the_audit():
    case = Case(40, part=["test"] * 20 + ["labelled"] * 19 + ["pool"], pixels=[*range(39), 0])
    assert len(audit(case.table, case.codes(case.draw()))) == 1
    codes = case.codes(case.draw(duplicates="drop"))
    assert codes[39] == UNUSED
    assert codes[0] == TEST
    assert audit(case.table, codes) == []


def test_shared_background_does_not_tie_patients_when_copies_are_dropped():
    patient = [f"p{i // 20}" for i in range(200)]
    pixels = [0 if i % 20 == 0 else i + 1 for i in range(200)]  # one blank patch in every patient
    case = Case(200, patient=patient, pixels=pixels)
    with pytest.raises(ChainError, match="nothing can be drawn from 1 units") as refusal:
        case.draw()
    assert "duplicates: drop" in refusal.value.todo
    with pytest.raises(ChainError, match="nothing can be drawn from 1 units") as refusal:
        Case(200, patient=["p0"] * 200).draw()
    assert "duplicates" not in refusal.value.todo  # there are none
    drawn = case.draw(duplicates="drop")
    codes = case.codes(drawn)
    assert audit(case.table, codes) == []
    assert (codes == UNUSED).sum() == 9
    assert np.isin(codes, (VALIDATION, TEST)).any()


def test_warns_of_patches_without_patient_and_slide_by_count():
    warning = next(w for w in Case(300).draw().warnings if "drawn patch by patch" in w)
    assert warning.startswith("300 patches have no patient and no slide")
    assert "neighbouring patches of one slide can land on both sides" in warning
    slides = Case(300, slide=[f"s{i % 40}" for i in range(300)]).draw()
    assert slides.unit == "slide"
    assert any("drawn slide by slide" in w for w in slides.warnings)
    assert Case(300, patient=[f"p{i % 40}" for i in range(300)]).draw(labels=LabelCount(count=5)).warnings == ()


@pytest.mark.parametrize("part", ["pool", "test"])
def test_warns_where_nothing_tells_who_the_patches_of_another_source_are_of(part):
    """Nothing is drawn of them, and yet they may be of the patients that are."""
    named = [f"p{i % 40}" if i < 200 else "" for i in range(300)]
    case = Case(300, patient=named, part=["split"] * 200 + [part] * 100)
    warning = next(w for w in case.draw().warnings if "nothing tells" in w)
    assert f"(100 of {part})" in warning
    assert not any("nothing tells" in w for w in case.draw(unit="patch").warnings)


def test_warns_of_given_splits_whose_patients_are_not_known():
    parts = ["labelled"] * 100 + ["pool"] * 100 + ["validation"] * 50 + ["test"] * 50
    (warning,) = Case(300, part=parts).draw().warnings
    assert "no patient and no slide (100 of labelled, 100 of pool, 50 of validation, 50 of test)" in warning
    (warning,) = Case(300, part=parts, slide=[f"s{i}" for i in range(300)]).draw().warnings
    assert "patches have no patient (100 of labelled" in warning
    assert Case(300, part=parts, patient=[f"p{i}" for i in range(300)]).draw().warnings == ()
    alone = Case(200, part=parts[:200]).draw()
    assert not any("nothing tells" in w for w in alone.warnings)  # nothing is held out


def test_warns_of_a_draw_that_falls_far_short():
    # one patient has nearly all there is: whole, it would leave nothing of a class to train
    case = Case(300, patient=["p0" if i < 290 else f"p{i}" for i in range(300)])
    short = [w for w in case.draw(validation=0.4, test=0).warnings if "patches asked for" in w]
    assert len(short) == 1
    assert re.match(r"validation has \d+ of the 120 patches asked for", short[0])
    assert not [w for w in Case(300).draw(validation=0.4, test=0.4).warnings if "patches asked for" in w]


def test_warns_of_the_same_pixels_under_two_labels_and_names_them():
    pixels = [0 if i in (4, 5) else i + 1 for i in range(300)]
    said = [w for w in Case(300, pixels=pixels).draw(labels="all", validation=0, test=0).warnings if "same pixels" in w]
    assert len(said) == 1
    assert "different labels, for instance main:" in said[0]
    assert "4.png" in said[0]
    assert "5.png" in said[0]


def test_warns_of_names_that_differ_in_case_alone():
    patient = [f"p{i % 40}" if i else "P7" for i in range(300)]
    (warning,) = Case(300, patient=patient).draw(labels=LabelCount(count=5)).warnings
    assert warning.startswith("'P7' and 'p7' differ in case alone and are taken for two patients")


@pytest.mark.parametrize(
    ("one", "other"), [("007", "7"), ("7", "7.0"), ("M\u00fcller", "Mu\u0308ller"), ("p 7", "p  7 "), ("0", "00")]
)
def test_warns_of_two_ways_to_write_one_patient(one, other):
    patient = [f"p{i % 40}" if i > 1 else (one, other)[i] for i in range(300)]
    (warning,) = Case(300, patient=patient).draw(labels=LabelCount(count=5)).warnings
    assert warning.startswith(f"{one!r} and {other!r} differ in case, spaces, zeros or the encoding of letters alone")


def test_rows_that_are_held_out_are_warned_of_where_the_part_of_their_source_takes_them_for_training():
    split = ["test" if i < 30 else "validation" if i < 50 else "train" for i in range(300)]
    case = Case(300, split=split, part=["labelled"] * 300)
    said = [w for w in case.draw(validation=0, test=0).warnings if "their source has" in w]
    assert said == [
        "50 patches that their source has as validation or test are labelled or pool, by the part of the source"
    ]
    assert not [w for w in Case(300, split=split).draw().warnings if "their source has" in w]


def test_names_that_are_two_are_not_said_to_be_one():
    patient = [("1.10", "1.1", "p07", "p7", "1.2.3", "1.2.30", "10", "100", "a b", "ab")[i % 10] for i in range(300)]
    assert Case(300, patient=patient).draw(labels=LabelCount(count=5)).warnings == ()


def test_every_class_gets_a_label_however_small_the_fraction():
    drawn = Case(30).draw(labels=LabelFraction(fraction=0.001), validation=0, test=0)
    assert np.bincount(drawn.label[drawn.split == LABELLED]).tolist() == [1, 1, 1]


@pytest.mark.parametrize("part", ["labelled", "validation", "test"])
def test_given_without_label_is_refused_by_name(part):
    with pytest.raises(ChainError) as refusal:
        Case(9, label=[*"ABCABCAB", ""], part=["split"] * 8 + [part]).draw()
    assert refusal.value.code == ExitCode.BAD_DATA
    assert part in refusal.value.what
    assert "the first: main:8.png (patch " in refusal.value.what
    with pytest.raises(ChainError, match=r"main:8\.png"):
        Case(9, label=[*"ABCABCAB", ""], part=["split"] * 8 + [part]).draw(np.arange(9)[::-1])


def test_class_without_training_label_is_refused_by_name():
    with pytest.raises(ChainError, match="no labelled patch of class C") as refusal:
        Case(20, label=["A", "B"] * 10).draw()
    assert refusal.value.code == ExitCode.BAD_DATA


@pytest.mark.parametrize(("classes", "what"), [(("a",), "only one class: a"), ((), "no patch has a label")])
def test_fewer_than_two_classes_are_refused(classes, what):
    case = Case(30, label=[*classes] * 30 or [""] * 30)
    for share in (None, 0, 0.5):
        with pytest.raises(ChainError) as refusal:
            draw(case.table, case.label, case.split, case.part, classes, SplitsConfig(validation=share))
        assert refusal.value.code == ExitCode.BAD_DATA
        assert refusal.value.what == what
        assert ("prepare.labels" in refusal.value.todo) == (not classes), "no source is taken for the only one"


def _nothing_free(case, **config):
    with pytest.raises(ChainError) as refusal:
        case.draw(**config)
    assert refusal.value.code == ExitCode.BAD_DATA
    return refusal.value


def test_drawing_beside_splits_that_are_all_given_is_refused_as_such():
    case = Case(90, split=["train"] * 60 + ["validation"] * 15 + ["test"] * 15)
    refusal = _nothing_free(case, validation=0.15)
    assert refusal.what == (
        "splits.validation: 0.15 asks to draw, but every labelled patch already has a split given by its source"
    )
    assert "remove splits.validation" in refusal.todo
    assert _nothing_free(case, test=7).what.startswith("splits.test: 7 asks to draw")
    case.draw()  # what the message says to do


def test_what_is_set_aside_beside_given_patches_is_said_to_be():
    case = Case(60, patient=[f"p{i // 6}" for i in range(60)], split=["validation", *[""] * 5] * 5 + ["train"] * 30)
    assert "or is a copy or of the patient or slide of one that has" in _nothing_free(case, validation=0.15).what


def test_patients_that_all_have_given_patches_are_said_to_be():
    case = Case(60, patient=[f"p{i // 6}" for i in range(60)], split=["train", *[""] * 5] * 10)
    assert "every patient or slide with a patch free to draw" in _nothing_free(case, validation=0.15).what
    case.draw(validation=0, test=0)


@pytest.mark.parametrize("order", [np.arange(60), np.arange(60)[::-1]])
def test_pixels_shared_with_given_patches_are_named_by_a_pair(order):
    # every free patient shares one blank patch (rows 3, 33) with a given test patient, and is not tied otherwise
    patient = ["T"] * 30 + ["F"] * 30
    pixels = np.arange(60)
    pixels[33] = pixels[3]
    case = Case(60, patient=patient, part=["test"] * 30 + ["split"] * 30, pixels=pixels)
    with pytest.raises(ChainError) as caught:
        case.draw(order, validation=0.2)
    refusal = caught.value
    assert refusal.what.startswith("splits.validation: 0.2 asks to draw, but every patch free to draw hangs by shared")
    assert "main:33.png (patch " in refusal.what
    assert "main:3.png (patch " in refusal.what
    assert "duplicates: drop" in refusal.todo


@pytest.mark.parametrize("seed", range(30))
def test_a_pair_that_is_named_has_the_same_pixels(seed):
    rng = np.random.default_rng(seed)
    patient = [f"p{k}" for k in rng.integers(0, 8, 60)]
    part = ["test" if who == "p0" else "split" for who in patient]
    case = Case(60, patient=patient, part=part, pixels=rng.integers(0, 30, 60), seed=seed)
    try:
        case.draw(validation=0.2)
    except ChainError as refusal:
        pair = [int(row) for row in re.findall(r"main:(\d+)\.png", refusal.what)]
        assert len(pair) == 2
        assert (case.table.pixels[pair[0]] == case.table.pixels[pair[1]]).all()
        assert patient[pair[0]] != "p0" == patient[pair[1]]


def test_unknown_class_is_refused_by_name():
    with pytest.raises(ChainError, match="'D'"):
        Case(20, label=["A", "D"] * 10).draw()


def test_two_patients_are_too_few_for_four_splits():
    with pytest.raises(ChainError, match="nothing can be drawn") as refusal:
        Case(60, patient=["x"] * 30 + ["y"] * 30).draw()
    assert refusal.value.code == ExitCode.BAD_DATA


def test_training_keeps_a_label_of_a_class_one_patient_has():
    patient = [f"p{i % 10}" for i in range(100)]
    label = ["C" if i % 10 == 3 and i < 50 else "AB"[i % 2] for i in range(100)]
    for seed in range(10):
        drawn = Case(100, patient=patient, label=label).draw(seed=seed)
        assert (drawn.label[drawn.split == LABELLED] == 2).any()
        assert any("no patch of class C" in warning for warning in drawn.warnings)


def test_a_class_that_given_validation_or_test_lacks_is_named():
    # a mean over two classes of three, and a gate that goes by it, would pass for all of them
    split = ["validation" if i < 60 else "test" if i < 120 else "labelled" for i in range(300)]
    label = ["AB"[i % 2] if i < 60 else "C" if i < 120 else CLASSES[i % 3] for i in range(300)]
    said = [w for w in Case(300, split=split, label=label).draw().warnings if "no patch of class" in w]
    assert said == [
        "validation has no patch of class C: its figures, and what it decides, are of the other classes alone",
        "test has no patch of class A, B: its figures are of the other classes alone",
    ]
    label = [CLASSES[i % 3] for i in range(300)]
    whole = Case(300, split=split, label=label).draw().warnings
    assert not [w for w in whole if "no patch of class" in w]
