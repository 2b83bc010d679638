"""Reviews as inputs of a chain: what lies in `reviews/`, from which step on each holds, and who may change that when.

    reviews/0000/labels.parquet   id, label: what the steps are made from, and all their recipes know of it
                 review.json      who, when, of which round: provenance, in no recipe
                 stage.json       seals the two
    reviews/holds.json            review -> address of the first step that honours it

A review holds from the first round that had not begun when it was imported. `rerun --from ADDRESS` lets all of them
hold from there at the latest. A chain that runs and an import at the same time agree by a lock of their own, held for
moments: a step that was begun without a review is finished without it. Imports nothing heavy: `inspect` reads this.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import fsync_dir, write_json
from data.files.regular import read_regular
from data.splits.review_words import FILE, ROLE
from pipeline.directory.layout import Layout
from pipeline.directory.record import read_record, seal
from pipeline.plan import FINAL, Step, at, running_order

ABOUT = "review.json"
NAMES = ("teacher", "predict", "select", "student")


@dataclass(frozen=True)
class Review:
    """One in place. about: the content of review.json."""

    address: str
    holds_from: str
    about: dict[str, Any]

    @property
    def role(self) -> str:
        """Among the inputs of a step."""
        return ROLE + self.address.rpartition("/")[2]


def addresses(layout: Layout) -> list[str]:
    """`reviews/0000`, ...: the earliest first."""
    return [f"reviews/{path.name}" for path in sorted(layout.reviews.glob("[0-9][0-9][0-9][0-9]")) if path.is_dir()]


def next_address(layout: Layout) -> str:
    """Of a review that is put in place. Under `settled`."""
    last = max((int(address[-4:]) for address in addresses(layout)), default=-1)
    return f"reviews/{last + 1:04d}"


def reviews(layout: Layout) -> list[Review]:
    """All in place, the earliest first. Raises ChainError (76) when what is written of one cannot be read."""
    starts = holds(layout)
    return [Review(address, starts[address], _about(layout, address)) for address in addresses(layout)]


def holds(layout: Layout) -> dict[str, str]:
    """Address of each review -> address of the first step that honours it. Raises ChainError (76)."""
    found = addresses(layout)
    if not found:
        return {}
    try:
        plain = json.loads(read_regular(layout.holds))
        return {address: str(plain[address]) for address in found}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ChainError(
            f"{layout.holds} is missing or damaged",
            "it says from which step on each review holds",
            "put the file back; or write it again, a line a review: "
            f'{{"{found[0]}": "{at(0, "teacher")}"}} lets it hold everywhere',
            ExitCode.DAMAGED,
        ) from None


def inputs_at(layout: Layout, step: Step) -> dict[str, str]:
    """Role -> address of the reviews that a step is made from."""
    return {
        ROLE + address.rpartition("/")[2]: address for address, start in holds(layout).items() if _honours(step, start)
    }


def _honours(step: Step, start: str) -> bool:
    if running_order(step.address) < running_order(start) or step.address == FINAL:
        return False
    if step.kind == "promote":
        # to the gate a review is news while the student of the round before has not seen it
        return running_order(at(step.round - 1, "student")) < running_order(start)
    return step.kind in ("train", "select")


def digest_of(layout: Layout, address: str) -> str:
    """What recipes know of a review: its labels, not who gave them or when."""
    digest, _ = read_record(layout.place(address), address, layout).files[FILE]
    return f"sha256:{digest}"


def first_round_to_come(layout: Layout) -> int:
    """The first round of which nothing is done and nothing begun. Ask it under `settled`."""
    number = 0
    while any(layout.stands(at(number, name)) or layout.staging(at(number, name)).exists() for name in NAMES):
        number += 1
    return number


def publish(layout: Layout, address: str, start: str, fill: Callable[[Path], None]) -> None:
    """Put a review in place by one rename. Under `settled`.

    address: `next_address`; start: of the first step that honours it; fill: writes its files into a directory.
    """
    layout.reviews.mkdir(exist_ok=True)
    place = layout.place(address)
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an import that was killed
    part.mkdir()
    fill(part)
    seal(part, address, {"kind": "review"})
    # before the rename: from where a review holds means nothing until it is there
    write_json(layout.holds, holds(layout) | {address: start})
    part.rename(place)
    fsync_dir(layout.reviews)


def hold_from(layout: Layout, start: str) -> list[str]:
    """Let every review hold from `start` at the latest; returns the addresses of those that held from later on."""
    with settled(layout):
        before = holds(layout)
        later = [address for address, at in before.items() if running_order(start) < running_order(at)]
        if later:
            write_json(layout.holds, before | dict.fromkeys(later, start))
        return later


@contextlib.contextmanager
def settled(layout: Layout) -> Iterator[None]:
    """Which reviews there are, and which steps have begun, changes for nobody else meanwhile."""
    descriptor = os.open(layout.reviews_lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _about(layout: Layout, address: str) -> dict[str, Any]:
    path = layout.place(address) / ABOUT
    try:
        about = json.loads(read_regular(path))
        if not isinstance(about, dict):
            raise ValueError
        return about
    except (OSError, ValueError, RecursionError):
        raise ChainError(
            f"{address}/{ABOUT} is missing or damaged",
            "it says who gave these labels, and when",
            "put the file back",
            ExitCode.DAMAGED,
        ) from None
