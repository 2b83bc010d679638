"""Selections: typed, sorted, and with the history of every belief."""

import numpy as np
import pytest

from data.errors import ChainError, ExitCode
from stages.select.selection import DTYPES, Selection, continued, read_selection, same, write_pieces


def selection(pairs, round=0, copies=1):
    ids = np.array([patch for patch, _ in pairs], np.uint64)
    label = np.array([code for _, code in pairs])
    return Selection.of(ids, label, np.linspace(0.5, 1, len(ids)), round, copies=copies)


def test_rows_stand_by_id_and_label_with_their_types():
    one = selection([(9, 1), (2, 0), (9, 0)])
    assert list(zip(one.ids.tolist(), one.label.tolist(), strict=True)) == [(2, 0), (9, 0), (9, 1)]
    assert one.confidence.tolist() == [0.75, 1.0, 0.5]
    for name, dtype in DTYPES.items():
        assert getattr(one, name).dtype == dtype


def test_what_is_written_is_read_and_same_rows_are_same_bytes(tmp_path):
    one = selection([(2**64 - 1, 3), (5, 0)], round=2, copies=np.array([3, 1]))
    for name in "ab":
        write_pieces(tmp_path / name, [one])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    read = read_selection(tmp_path / "a")
    for name, dtype in DTYPES.items():
        assert np.array_equal(getattr(read, name), getattr(one, name))
        assert getattr(read, name).dtype == dtype


def test_an_empty_selection_is_a_selection(tmp_path):
    none = np.empty(0)
    write_pieces(tmp_path / "a", [Selection.of(none, none, none, 0)])
    assert len(read_selection(tmp_path / "a")) == 0


def test_first_round_is_that_of_the_unbroken_run():
    first = selection([(1, 0), (2, 1), (3, 2)], round=0)
    second = continued(selection([(1, 0), (2, 0), (4, 2)], round=1), first)
    assert second.first_round.tolist() == [0, 1, 1]  # 2 changed its label
    third = continued(selection([(1, 0), (2, 0), (3, 2), (4, 2)], round=2), second)
    assert third.first_round.tolist() == [0, 1, 2, 1]  # 3 was dropped for a round: its run is broken


def test_same_means_patches_labels_and_copies():
    one = selection([(1, 0), (2, 1)], round=0)
    assert same(one, selection([(2, 1), (1, 0)], round=5))
    assert not same(one, selection([(1, 0), (2, 0)]))
    assert not same(one, selection([(1, 0), (2, 1)], copies=2))
    assert not same(one, selection([(1, 0)]))


def test_a_cut_or_absent_file_is_refused_by_name(tmp_path):
    path = tmp_path / "selection.parquet"
    with pytest.raises(ChainError) as refusal:
        read_selection(path)
    assert refusal.value.code == ExitCode.MISSING
    write_pieces(path, [selection([(1, 0)])])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ChainError) as refusal:
        read_selection(path)
    assert refusal.value.code == ExitCode.DAMAGED
    assert "selection.parquet" in refusal.value.what
