"""What belongs together."""

import numpy as np
import pytest

from data.errors import ChainError, ExitCode
from data.patches.table import Column, PatchTable
from data.splits.units import joined, patients, pixel_groups, slides, units


def table(patient="", slide="", pixels=None):
    n = max(len(patient), len(slide))
    patient, slide = (list(texts) or [""] * n for texts in (patient, slide))
    contents = np.arange(n) if pixels is None else np.array(pixels)
    return PatchTable(
        np.arange(n, dtype=np.uint64) * 7 + 1,
        np.stack([contents, contents * 3], axis=1).astype(np.uint64),
        *(Column.of(texts) for texts in (["main"] * n, patient, slide, [""] * n)),
    )


def test_a_slide_name_under_two_patients_is_two_slides():
    codes = slides(table(["A", "B", "A", "", "C"], ["1", "1", "1", "1", "2"]))
    assert codes[0] == codes[2]
    assert len({codes[0], codes[1], codes[3], codes[4]}) == 4


def test_a_patch_without_patient_belongs_to_the_patient_of_its_slide():
    codes = patients(table(["A", "", "", "B"], ["1", "1", "", "2"]))
    assert codes[0] == codes[1]
    assert codes[2] == -1


def test_a_patch_without_patient_on_a_slide_name_of_several_is_nobodys():
    assert patients(table(["A", "B", ""], ["1", "1", "1"])).tolist() == [0, 1, -1]


def test_auto_takes_patient_then_slide_then_patch():
    codes, kind = units(table(["A", "A", "", "", "", ""], ["1", "2", "3", "3", "", ""]), "auto")
    assert kind.tolist() == [0, 0, 1, 1, 2, 2]
    assert codes[0] == codes[1]
    assert codes[2] == codes[3]
    assert len(set(codes.tolist())) == 4


def test_forced_unit_is_refused_where_it_is_not_known():
    with pytest.raises(ChainError) as refusal:
        units(table(["A", ""]), "patient")
    assert refusal.value.code == ExitCode.BAD_DATA
    assert "1 patches" in refusal.value.what
    assert "patient" in refusal.value.what


def test_same_pixels_join_units_in_chains():
    """a-b share one content, b-c another: one unit of three."""
    some = table(["a", "b", "b", "c", "d"], pixels=[1, 1, 2, 2, 3])
    whole = joined(units(some, "auto")[0], pixel_groups(some))
    assert len(set(whole[:4].tolist())) == 1
    assert whole[4] != whole[0]
