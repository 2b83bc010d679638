import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from data.errors import ChainError, ExitCode
from data.ingest import ingest
from data.number_range import NumberRange
from data.pixels.decode import pixel_digest
from data.readers import SourceConfig, prepared
from data.readers.prepared import Prepared
from data.store.patch_store import PatchStore
from tests.fake_preparation import prepared_in


def refused(do):
    with pytest.raises(ChainError) as caught:
        do()
    return caught.value


def test_records_come_unit_by_unit_with_all_that_was_prepared(tmp_path):
    records = list(Prepared(path=prepared_in(tmp_path, b="ok 3", a="ok 2")).records())
    assert [record.key for record in records] == [
        *(f"a/x{i:06d}_y000000" for i in range(2)),
        *(f"b/x{i:06d}_y000000" for i in range(3)),
    ]
    assert [record.label for record in records] == ["A", "B", "A", "B", "A"]
    assert {record.patient for record in records} == {"patient a", "patient b"}
    assert records[4].slide == "b.txt"
    assert dict(records[4].numbers) == {"tissue": 2 / 3, "x_px": 16.0}


def test_content_is_what_the_units_hold(tmp_path):
    root = prepared_in(tmp_path)
    reader = Prepared(path=root)
    for record in reader.records():
        unit, _, key = record.key.partition("/")
        store = PatchStore(root / "units" / unit / "patches.h5")
        row = next(row for row in range(len(store)) if store.key(row) == key)
        assert np.array_equal(reader.content(record), store.pixels(row))
        assert pixel_digest(store.pixels(row), "rgb8") == tuple(map(int, store.table().pixels[row]))


def test_the_ingest_of_a_prepared_directory_keeps_patches_and_numbers(tmp_path, config):
    root = prepared_in(tmp_path)
    found = ingest(config({"kind": "prepared", "path": root}, size_px=8), tmp_path / "s.h5", tmp_path / "q.csv")
    store = PatchStore(tmp_path / "s.h5")
    assert len(found.table) == 7
    assert sorted(store.numbers) == ["tissue", "x_px"]
    assert np.array_equal(store.numbers["x_px"], [0, 8, 16, 24, 0, 8, 16])


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ({"tissue": {"min": 0.5}}, [0.5, 0.75, 2 / 3]),
        ({"tissue": {"max": 0.25}}, [0, 0.25, 0]),
        ({"tissue": {"min": 0.25, "max": 0.5}, "x_px": {"min": 16}}, [0.5]),
    ],
)
def test_keep_is_a_filter_over_numbers_bounds_included(tmp_path, keep, left):
    source = TypeAdapter(SourceConfig).validate_python(
        {"kind": "prepared", "path": prepared_in(tmp_path), "keep": keep}
    )
    shares = [record.numbers["tissue"] for record in source.records()]
    assert shares == [pytest.approx(share) for share in left]


def test_an_unknown_number_is_named(tmp_path):
    source = Prepared(path=prepared_in(tmp_path), keep={"tisue": NumberRange(min=0.1)})
    error = refused(lambda: list(source.records()))
    assert error.code == ExitCode.MISMATCH
    assert "keep.tisue" in error.what
    assert "tissue, x_px" in error.why


def test_a_directory_that_is_not_finished_is_66_and_names_the_command(tmp_path):
    root = prepared_in(tmp_path)
    (root / "prepared.json").unlink()
    error = refused(lambda: list(Prepared(path=root).records()))
    assert error.code == ExitCode.MISSING
    assert f"prepare CONFIG {root}" in error.todo
    (root / "prepare.yaml").unlink()
    assert "no prepared directory" in refused(lambda: list(Prepared(path=root).records())).what


def _other_unit(root: Path) -> None:
    shutil.rmtree(root / "units" / "one")
    shutil.copytree(root / "units" / "two", root / "units" / "one")


DAMAGE = {
    "gone": lambda root: shutil.rmtree(root / "units" / "one"),
    "cut": lambda root: (root / "units" / "one" / "patches.h5").write_bytes(b"x"),
    "no record": lambda root: (root / "units" / "one" / "stage.json").unlink(),
    "another": _other_unit,
    "index": lambda root: (root / "prepared.json").write_text("[]"),
    "name": lambda root: (root / "prepared.json").write_text(
        json.dumps({"format": 1, "units": [{"name": "../x", "digest": "", "patches": 1}]})
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_unit_that_is_not_as_it_was_prepared_is_76_and_named(tmp_path, name):
    root = prepared_in(tmp_path)
    DAMAGE[name](root)
    error = refused(lambda: list(Prepared(path=root).records()))
    assert error.code == ExitCode.DAMAGED
    assert ("one" if name not in ("index", "name") else "prepared.json") in error.what


def test_a_flipped_byte_in_a_store_is_refused_before_its_pixels_are_given(tmp_path):
    root = prepared_in(tmp_path)
    path = root / "units" / "one" / "patches.h5"
    pixels = PatchStore(path).pixels(1).tobytes()
    content = bytearray(path.read_bytes())
    content[content.index(pixels)] ^= 1
    path.write_bytes(content)
    reader = Prepared(path=root)
    records = list(reader.records())  # the size is right: a listing reads no pixels
    assert refused(lambda: reader.content(records[0])).code == ExitCode.DAMAGED


def test_a_newer_index_is_78(tmp_path):
    root = prepared_in(tmp_path)
    plain = json.loads((root / "prepared.json").read_text())
    (root / "prepared.json").write_text(json.dumps({**plain, "format": 2}))
    assert refused(lambda: list(Prepared(path=root).records())).code == ExitCode.MISMATCH


def test_no_more_than_some_stores_are_open_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "MOST_OPEN", 2)
    reader = Prepared(path=prepared_in(tmp_path, **{f"s{i}": "ok 2" for i in range(5)}))
    records = list(reader.records())
    first = [np.array(reader.content(record)) for record in records]
    assert len(reader._units._open) == 2
    again = [np.array(reader.content(record)) for record in records[::-1]][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_other_pixels_under_the_same_names_are_another_state(tmp_path):
    one, other = prepared_in(tmp_path / "a"), prepared_in(tmp_path / "b", one="ok 4", two="ok 3 again")
    assert Prepared(path=one).state() != Prepared(path=other).state()
    assert Prepared(path=one).state() == Prepared(path=prepared_in(tmp_path / "c")).state()
