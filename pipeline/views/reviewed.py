"""Reviews for people and programs: `inspect`, the report and the labelling page say the same. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

from data.printable import printable
from pipeline.directory.layout import Layout
from pipeline.directory.reviews import reviews
from pipeline.plan import running_order
from pipeline.views.text_table import count


def told(layout: Layout) -> list[dict[str, Any]]:
    """One a review, the earliest first: who, when, labels by class, from which step on, and what review.json says."""
    return [
        {
            "review": one.address,
            "by": str(one.about.get("by", "")),
            "at": str(one.about.get("at", "")),
            "rounds": one.about.get("rounds", []),
            "labels": one.about.get("labels", {}),
            "rejected": int(one.about.get("rejected", 0)),
            "agreed": int(one.about.get("agreed", 0)),
            "corrected": int(one.about.get("corrected", 0)),
            "given": one.about.get("given", {}),
            "honoured_from": one.holds_from,
            "honoured": _honoured(layout, one.holds_from),
        }
        for one in reviews(layout)
    ]


def lines(found: list[dict[str, Any]]) -> list[str]:
    """The same in words, a line a review."""
    return [
        printable(
            f"{one['review']}: {one['by']}, {one['at']}: {count(sum(one['labels'].values()))} labels "
            f"({count(one['agreed'])} as suggested, {count(one['corrected'])} corrected), "
            f"{count(one['rejected'])} rejected{_given(one['given'])}; honoured from {one['honoured_from']} on"
            + ("" if one["honoured"] else ", where nothing is done yet")
        )
        for one in found
    ]


def _given(found: Mapping[str, int]) -> str:
    """Of labels that the chain had been given: nothing is said where there are none."""
    said = ", ".join(f"{count(found[word])} {word}" for word in ("kept", "corrected", "rejected") if found.get(word))
    return f"; of labels given before: {said}" if said else ""


def _honoured(layout: Layout, start: str) -> bool:
    """Whether a finished step was made from it."""
    return any(
        running_order(address) >= running_order(start)
        and address.rpartition("/")[2] in ("select", "student", "teacher")
        for address in layout.standing()
        if address.startswith("rounds/")
    )
