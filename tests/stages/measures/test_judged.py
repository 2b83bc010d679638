"""What belongs together among patches that are judged: joined by id."""

import numpy as np

from data.patches.table import Column, PatchTable
from stages.measures.judged import groups_of


def test_groups_are_joined_by_id_wherever_a_patch_stands_in_the_store() -> None:
    ids = np.array([40, 10, 50, 20, 30], np.uint64)
    patient, slide = Column.of(["A", "", "A", "B", ""]), Column.of(["1", "2", "3", "4", ""])
    nothing = Column.of([""] * 5)
    table = PatchTable(ids, np.zeros((5, 2), np.uint64), nothing, patient, slide, nothing)
    of = dict(zip([10, 20, 40, 50], groups_of(table, np.array([10, 20, 40, 50], np.uint64)).tolist(), strict=True))
    assert of[40] == of[50]  # one patient
    assert len(set(of.values())) == 3
    assert groups_of(table, np.array([50, 20], np.uint64)).tolist() == [of[50], of[20]]  # in the order they are asked
