"""Patches that were cut at unlike resolutions are said, by source, and nothing else is."""

import pytest

from data.patches.listing import Listing
from data.patches.record import Record
from data.patches.resolutions import warn_of_resolutions


def warned(**sources: list[dict[str, float]]) -> list[str]:
    listing, rows, start = Listing(), {}, 0
    for name, numbers in sources.items():
        for row, of_patch in enumerate(numbers):
            listing.add(Record(f"{name}-{row}", numbers=of_patch))
        rows[name] = range(start, len(listing))
        start = len(listing)
    return warn_of_resolutions(listing, rows)


def test_two_sources_at_two_resolutions_are_named_with_both() -> None:
    (said,) = warned(ours=[{"mpp": 0.5}] * 2, theirs=[{"mpp": 0.25}], elsewhere=[{}])
    assert "source theirs at 0.25 um/px and source ours at 0.5 um/px" in said
    assert "elsewhere" not in said


def test_one_source_of_several_resolutions_is_said_too() -> None:
    (said,) = warned(ours=[{"spacing_mm": 1.5}, {"spacing_mm": 0.75}])
    assert "source ours at 0.75 to 1.5 mm/px" in said


@pytest.mark.parametrize(
    "numbers",
    [[{}], [{"mpp": 0.5}, {"mpp": 0.5}], [{"mpp": 0.5}, {"mpp": 0.52}], [{"mpp": 0.5}, {"spacing_mm": 1.5}, {}]],
    ids=["unknown", "equal", "as levels of scanners differ", "slides beside CT"],
)
def test_what_is_alike_or_unknown_is_nothing_to_say(numbers: list[dict[str, float]]) -> None:
    assert warned(ours=numbers[:1], theirs=numbers[1:]) == []
