"""The files of the splits: whole, repeatable, and the hidden truth apart."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.errors import ChainError, ExitCode
from data.patches.labels import AuditLabels, GivenLabels
from data.splits.written import SPLITS, Assignment, load_audit, load_splits, write_splits


def drawn(n=500):
    rng = np.random.default_rng(1)
    split = rng.integers(0, 5, n).astype(np.int8)
    label = rng.integers(0, 3, n).astype(np.int16)
    label[(split == 1) & (rng.random(n) < 0.5)] = -1
    return Assignment(np.arange(n, dtype=np.uint64) * 5, split, label, ("a", "b", "c"), "patient", ("careful",))


def test_what_is_written_is_read(tmp_path):
    one = drawn()
    write_splits(tmp_path, one, [0.5, 0.4, 0.3], [0.1, 0.2, 0.3])
    splits, audit = load_splits(tmp_path), load_audit(tmp_path)
    for code, given in ((0, splits.labelled), (2, splits.validation), (3, splits.test)):
        assert isinstance(given, GivenLabels)
        assert np.array_equal(given.ids, one.ids[one.split == code])
        assert np.array_equal(given.label, one.label[one.split == code])
        assert given.ids.dtype == np.uint64
        assert given.label.dtype == np.int16
    assert np.array_equal(splits.pool, one.ids[one.split == 1])
    assert splits.mean == (0.5, 0.4, 0.3)
    assert splits.classes == ("a", "b", "c")
    hidden = (one.split == 1) & (one.label >= 0)
    assert isinstance(audit, AuditLabels)
    assert np.array_equal(audit.ids, one.ids[hidden])
    assert np.array_equal(audit.label, one.label[hidden])


def test_labels_of_the_pool_are_in_the_audit_file_alone(tmp_path):
    """Two worlds that differ in nothing but the hidden truth differ in nothing but audit.parquet."""
    one = drawn()
    hidden = (one.split == 1) & (one.label >= 0)
    other = Assignment(one.ids, one.split, np.where(hidden, (one.label + 1) % 3, one.label), *drawn_rest(one))
    for name, world in (("one", one), ("other", other)):
        (tmp_path / name).mkdir()
        write_splits(tmp_path / name, world, [0.5], [0.1])
    for name in ("splits.parquet", "splits.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    assert (tmp_path / "one/audit.parquet").read_bytes() != (tmp_path / "other/audit.parquet").read_bytes()
    table = pq.read_table(tmp_path / "one/splits.parquet").to_pandas()
    assert (table.label[table.split.isin(["pool", "unused"])] == -1).all()


def drawn_rest(one):
    return one.classes, one.unit, one.warnings


def test_same_splits_same_bytes(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        write_splits(tmp_path / name, drawn(), [0.5], [0.1])
    for name in ("splits.parquet", "audit.parquet", "splits.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_counts_tell_every_split(tmp_path):
    one = drawn()
    write_splits(tmp_path, one, [0.5], [0.1])
    about = json.loads((tmp_path / "splits.json").read_text())
    assert sum(about["patches"].values()) == 500
    assert set(about["patches"]) == set(SPLITS)
    assert sum(about["counts"]["validation"].values()) == about["patches"]["validation"]
    assert set(about["counts"]) == {"labelled", "validation", "test"}
    assert about["warnings"] == ["careful"]
    assert about["unit"] == "patient"


def test_missing_and_damaged_files_are_refused_by_name(tmp_path):
    with pytest.raises(ChainError) as refusal:
        load_splits(tmp_path)
    assert refusal.value.code == ExitCode.MISSING
    assert "splits.json" in refusal.value.what
    write_splits(tmp_path, drawn(), [0.5], [0.1])
    whole = (tmp_path / "splits.parquet").read_bytes()
    (tmp_path / "splits.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ChainError) as refusal:
        load_splits(tmp_path)
    assert refusal.value.code == ExitCode.DAMAGED
    assert "splits.parquet" in refusal.value.what
    (tmp_path / "splits.json").write_text("{")
    with pytest.raises(ChainError) as refusal:
        load_splits(tmp_path)
    assert refusal.value.code == ExitCode.DAMAGED
    assert "splits.json" in refusal.value.what
