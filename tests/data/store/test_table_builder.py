"""A table of some rows of a listing is the table of a listing that never had the others."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.patches.listing import Listing
from data.patches.record import Record
from data.patches.table import Column
from data.store.table_builder import TableBuilder
from tests.data.patches.test_listing import RECORDS


def _built(listing: Listing, rows: list[int], ids: list[int]) -> TableBuilder:
    builder = TableBuilder(listing)
    for row, patch_id in zip(rows, ids, strict=True):
        builder.add(row, patch_id, f"source {patch_id % 2}", "pool", (patch_id, patch_id + 1))
    return builder


def _shown(column: Column) -> tuple[list[int], list[str]]:
    return column.codes.tolist(), column.names.tolist()


@given(RECORDS, st.data())
def test_rows_that_are_left_out_leave_no_trace(records: list[Record], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    rows = [row for row, kept in enumerate(chosen) if kept]
    some = _built(Listing.of(records), rows, rows)
    alone = _built(Listing.of(records[row] for row in rows), list(range(len(rows))), rows)
    assert len(some.table()) == len(alone.table()) == len(rows)
    for name in ("source", "patient", "slide", "site"):
        assert _shown(getattr(some.table(), name)) == _shown(getattr(alone.table(), name))
    for name in ("label", "split", "part"):
        assert _shown(getattr(some.labels(), name)) == _shown(getattr(alone.labels(), name))
    for left, right in zip((*some.keys(), some.table().ids), (*alone.keys(), alone.table().ids), strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    numbers = alone.numbers()
    assert list(some.numbers()) == list(numbers)
    for name, column in some.numbers().items():
        np.testing.assert_array_equal(column, numbers[name])


def test_what_is_looked_at_grows_no_more() -> None:
    builder = _built(Listing.of([Record("a"), Record("b")]), [0], [7])
    table = builder.table()
    with pytest.raises(BufferError):
        builder.add(1, 8, "main", "pool", (0, 0))
    assert table.ids.tolist() == [7]


def test_a_table_of_all_that_was_listed_is_no_copy() -> None:
    count = 20_000
    listing = Listing.of(Record(f"{row:06}", "tumour", f"patient {row // 100}") for row in range(count))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    builder = _built(listing, list(range(count)), list(range(count)))
    grown = tracemalloc.get_traced_memory()[0] - before
    held = builder.table(), builder.labels(), builder.keys()
    given_out = tracemalloc.get_traced_memory()[0] - before - grown
    tracemalloc.stop()
    assert len(held[0]) == count
    assert grown / count < 45  # row, id, digest, source, part, and what arrays keep in reserve
    assert given_out / count < 2
