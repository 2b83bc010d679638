"""`review import`: a sheet that people filled in becomes labels of the chain, all of it or nothing."""

import difflib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from data.patches.ids import id_text
from data.printable import harmless, printable, shortened
from data.splits.review_words import FILE
from data.splits.reviewed import REJECTED, Reviewed, honoured, read_reviews, write_review
from data.splits.written import Splits, load_splits
from data.store.patch_store import PatchStore
from pipeline.directory.layout import Layout, command
from pipeline.directory.reviews import ABOUT, addresses, first_round_to_come, next_address, publish, settled
from pipeline.plan import SPLITS, STORE, at
from pipeline.review.later import outlook
from pipeline.review.sheet import Row, check_of, read_sheet, reject_word, words

LONGEST_NAME = 80
MOST_NAMED = 3  # faults of a sheet in one message
Fault = tuple[Row, str]  # the label refused, and why


@dataclass(frozen=True)
class Said:
    """What a sheet says, checked. new: what no earlier review says; agreed: suggestions that were confirmed.

    Of `new`, labels that the splits had given already: kept as they were, corrected, or rejected.
    """

    new: Reviewed
    rounds: tuple[int, ...]
    agreed: int
    corrected: int
    blank: int
    repeated: int
    revised: int
    given_kept: int
    given_corrected: int
    given_rejected: int


def import_review(layout: Layout, path: Path, by: str, revise: bool = False, dry: bool = False) -> list[str]:
    """Put a review in place, and say what it does; with `dry`, only say it.

    revise: labels of an earlier review may be changed. Raises ChainError: 65 for a sheet with anything wrong in it,
    66 for a run without splits, 2 for a name that is none, 73 for a link that leads out of the run directory.
    """
    who = _name(by)
    layout.refuse_ways_out()
    if not layout.stands(SPLITS):
        raise ChainError(
            f"{layout.root} has no splits yet",
            "which patches may be reviewed is not known before they are drawn",
            f"run the chain first: {command('run', 'CONFIG', layout.root)}",
            ExitCode.MISSING,
        )
    splits, rows = load_splits(layout.place(SPLITS)), read_sheet(path)
    with settled(layout):
        before = read_reviews([layout.place(address) / FILE for address in addresses(layout)], splits.classes)
        said = _checked(layout, splits, rows, before, revise)
        if not len(said.new):
            return [
                f"nothing new in {path}: {said.repeated:,} patches were reviewed so before, {said.blank:,} are blank"
            ]
        _refuse_emptying(splits, said.new.over(before))
        address, start = next_address(layout), at(first_round_to_come(layout), "teacher")
        lines = [*_told(address, said, splits.classes, who), *outlook(layout, start, said.rounds)]
        if dry:
            return ["dry run, nothing is written:", *lines]

        def fill(directory: Path) -> None:
            write_review(directory / FILE, said.new, splits.classes)
            write_json(directory / ABOUT, _about(said, splits.classes, who))

        publish(layout, address, start, fill)
    return lines


def may_teach(layout: Layout, path: Path) -> bool:
    """Whether every patch of a sheet is one of this run still, and is held out nowhere: else its labels are refused."""
    rows = read_sheet(path)
    return not (_binding(layout, rows) or _places(load_splits(layout.place(SPLITS)), rows))


def _about(said: Said, classes: Sequence[str], who: str) -> dict[str, Any]:
    """The content of review.json."""
    return {
        "by": who,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rounds": list(said.rounds),
        "labels": {name: int((said.new.label == code).sum()) for code, name in enumerate(classes)},
        "rejected": int((said.new.label == REJECTED).sum()),
        "agreed": said.agreed,
        "corrected": said.corrected,
        "revised": said.revised,
        "given": {"kept": said.given_kept, "corrected": said.given_corrected, "rejected": said.given_rejected},
    }


def _checked(layout: Layout, splits: Splits, rows: Sequence[Row], before: Reviewed, revise: bool) -> Said:
    """Raise ChainError (65) naming the first faults and counting them, or give what is new."""
    known = words(splits.classes)
    filled = [row for row in rows if row.label.strip()]
    faults = _binding(layout, filled) + _places(splits, filled)
    said: dict[int, tuple[Row, int]] = {}
    for row in filled:
        code = known.get(row.label.strip(), known.get(row.label.strip().casefold()))
        if code is None:
            faults.append((row, _unknown(row, splits.classes)))
            continue
        other = said.setdefault(row.id, (row, code))
        if other[1] != code:
            faults.append((row, f"{id_text(row.id)} is {row.label!r} here and {other[0].label!r} in {other[0].where}"))
    earlier = dict(zip(before.ids.tolist(), before.label.tolist(), strict=True))
    changed = [one for one, (_, code) in said.items() if earlier.get(one, code) != code]
    if not revise:
        names = [*splits.classes, reject_word(splits.classes)]
        faults += [(said[one][0], f"{id_text(one)} was reviewed as {names[earlier[one]]!r} before") for one in changed]
    if faults:
        refused = {row for row, _ in faults}  # a label may be wrong in several ways
        raise ChainError(
            "; ".join(printable(f"{row.where}: {why}") for row, why in faults[:MOST_NAMED]),
            f"{len(refused):,} of {len(filled):,} labels are refused, so none was taken",
            "correct the sheet and import it again"
            + ("; --revise changes earlier reviews" if changed and not revise else ""),
            ExitCode.BAD_DATA,
        )
    new = {one: code for one, (_, code) in said.items() if earlier.get(one) != code}
    by_name = {harmless(name).strip(): code for code, name in enumerate(splits.classes)}
    agreed = sum(code == by_name.get(said[one][0].suggested) for one, code in new.items())
    rejected = sum(code == REJECTED for code in new.values())
    given = dict(zip(splits.labelled.ids.tolist(), splits.labelled.label.tolist(), strict=True))
    again = {one: code for one, code in new.items() if one in given}
    kept, gone = sum(code == given[one] for one, code in again.items()), list(again.values()).count(REJECTED)
    return Said(
        new=Reviewed.of(new),
        rounds=tuple(sorted({said[one][0].round for one in new})),
        agreed=agreed,
        corrected=len(new) - agreed - rejected,
        blank=len(rows) - len(filled),
        repeated=len(said) - len(new),
        revised=len(changed),
        given_kept=kept,
        given_corrected=len(again) - kept - gone,
        given_rejected=gone,
    )


def _binding(layout: Layout, rows: Sequence[Row]) -> list[Fault]:
    """Rows that are not of this run's patches, or whose columns were torn apart."""
    store = PatchStore(layout.place(STORE) / "patches.h5")
    table = store.table()
    ids = np.array([row.id for row in rows], np.uint64)
    order = np.argsort(table.ids, kind="stable")
    found = order[np.minimum(np.searchsorted(table.ids, ids, sorter=order), len(order) - 1)]
    faults: list[Fault] = []
    for row, at_row in zip(rows, found.tolist(), strict=True):
        if int(table.ids[at_row]) != row.id:
            faults.append((row, f"patch {id_text(row.id)} is not of this run"))
            continue
        first, second = map(int, table.pixels[at_row])
        if check_of(row.round, id_text(row.id), (first, second), row.suggested) != row.check:
            why = "were columns sorted apart, or is the export of another run?"
            faults.append((row, f"its check is of another patch or suggestion: {why}"))
    return faults


def _places(splits: Splits, rows: Sequence[Row]) -> list[Fault]:
    held = {"validation": splits.validation.ids, "test": splits.test.ids}
    ids = np.array([row.id for row in rows], np.uint64)
    faults = [
        (rows[i], f"patch {id_text(rows[i].id)} belongs to {name}, which never teaches")
        for name, theirs in held.items()
        for i in np.flatnonzero(np.isin(ids, theirs)).tolist()
    ]
    elsewhere = ~np.isin(ids, np.concatenate([splits.pool, splits.labelled.ids, *held.values()]))
    return faults + [
        (rows[i], f"patch {id_text(rows[i].id)} is in no split of this run") for i in np.flatnonzero(elsewhere).tolist()
    ]


def _unknown(row: Row, classes: Sequence[str]) -> str:
    choices = [*classes, reject_word(classes)]
    near = difflib.get_close_matches(row.label, choices, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"the words are {', '.join(map(shortened, choices[:12]))}"
    return f"unknown class {shortened(row.label)!r}: {hint}"


def _refuse_emptying(splits: Splits, reviewed: Reviewed) -> None:
    after = honoured(splits, reviewed)
    if not len(after.pool):
        raise ChainError(
            "these reviews would leave no patch in the pool",
            "a chain teaches itself on patches that nobody has labelled",
            "leave some blank, or train on the labels alone (rounds: 0)",
            ExitCode.BAD_DATA,
        )
    before, now = (np.bincount(s.labelled.label, minlength=len(s.classes)) for s in (splits, after))
    if gone := [splits.classes[code] for code in np.flatnonzero((before > 0) & (now == 0))]:
        raise ChainError(
            f"these reviews would leave the class {shortened(gone[0])!r} without any label",
            "each of its labels is changed or rejected",
            "keep one at least, or take the class out of the data",
            ExitCode.BAD_DATA,
        )


def _told(address: str, said: Said, classes: Sequence[str], who: str) -> list[str]:
    counts = Counter(said.new.label.tolist())
    labels = ", ".join(f"{counts[code]:,} {name}" for code, name in enumerate(classes) if counts[code])
    lines = [
        f"{address}: {len(said.new):,} patches reviewed by {who}: {labels or 'no label'}; "
        f"{counts[REJECTED]:,} rejected",
        f"  {said.agreed:,} confirm the suggestion, {said.corrected:,} correct it; "
        f"{said.blank:,} rows blank, {said.repeated:,} said so before, {said.revised:,} change an earlier review",
    ]
    if said.given_kept + said.given_corrected + said.given_rejected:
        lines.append(
            f"  of labels that were given before, {said.given_kept:,} are kept, {said.given_corrected:,} corrected and "
            f"{said.given_rejected:,} rejected"
        )
    return [printable(line) for line in lines]


def _name(by: str) -> str:
    name = by.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ChainError(
            f"--by {by[:40]!r} is no name",
            f"whose labels these are is kept with them, in at most {LONGEST_NAME} printable characters",
            "say who reviewed, by a name or initials",
            ExitCode.USAGE,
        )
    return name
