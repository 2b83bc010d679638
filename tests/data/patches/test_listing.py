"""A listing in columns gives back every record as it was given, and sorts it by key."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.patches.listing import Listing
from data.patches.record import Record

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
RECORDS = st.lists(
    st.builds(
        Record, TEXT, TEXT, TEXT, TEXT, TEXT, st.sampled_from(["", "pool", "test"]),
        st.dictionaries(st.sampled_from(["x_px", "y_px", "tissue"]), st.floats(allow_nan=False), max_size=3),
    ),
    max_size=12,
)  # fmt: skip


@given(RECORDS)
def test_what_goes_in_comes_out(records: list[Record]) -> None:
    listing = Listing.of(records)
    assert len(listing) == len(records)
    assert list(listing) == records
    assert [listing[row] for row in range(len(records))] == records
    assert sorted(record.key.encode() for record in records) == [
        r.key.encode() for r in listing.by_key(range(len(records)))
    ]


def test_only_the_rows_that_are_asked_for_are_sorted() -> None:
    listing = Listing.of(Record(key) for key in ("d", "b", "a\tx", "a", "c"))
    assert [record.key for record in listing.by_key(range(1, 4))] == ["a", "a\tx", "b"]
    assert [record.key for record in listing.by_key(range(1, 4), b"\x1f")] == ["a\tx", "a", "b"]


def test_runs_are_merged_in_the_order_of_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.patches.listing.RUN", 7)
    keys = [f"{row * 37 % 101:03d}" for row in range(101)]
    assert [record.key for record in Listing.of(map(Record, keys)).by_key(range(101))] == sorted(keys)


def test_past_the_end_there_is_nothing() -> None:
    with pytest.raises(IndexError):
        Listing.of([Record("a")])[1]


def test_to_sort_by_key_costs_a_few_bytes_a_patch() -> None:
    count = 200_000
    listing = Listing.of(Record(f"{row * 7919 % count:06}") for row in range(count))
    tracemalloc.start()
    in_order = listing.by_key(range(count))
    assert next(in_order).key == "000000"
    cost = tracemalloc.get_traced_memory()[1] / count
    tracemalloc.stop()
    assert cost < 60  # a run of 65,536 is sorted with an object for each row and key, all others stand as 4 bytes


def test_a_patch_costs_its_key_and_some_sixty_bytes() -> None:
    count = 20_000
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    listing = Listing.of(Record(f"{i:06}", "tumour", f"patient {i // 100}", f"slide {i // 50}") for i in range(count))
    cost = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    assert len(listing) == count
    assert cost < 6 + 60
