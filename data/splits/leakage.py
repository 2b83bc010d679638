"""The leakage audit: one patient, one slide or the same pixels on two sides of a split."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.errors import ChainError, ExitCode
from data.patches.ids import id_text
from data.patches.table import PatchTable
from data.splits.config import UnitName
from data.splits.units import patients, pixel_groups, slides
from data.splits.written import LABELLED, POOL, SPLITS, TEST, UNUSED, VALIDATION

Kind = Literal["patient", "slide", "pixels"]


@dataclass(frozen=True)
class Leak:
    """One patient, slide or content found in two splits. `rows`: a patch in each, rows of the table."""

    kind: Kind
    name: str
    splits: tuple[str, str]
    rows: tuple[int, int]


def audit(table: PatchTable, split: np.ndarray, unit: UnitName = "auto") -> list[Leak]:
    """Every leak, one an affected patient, slide or content; the same list whatever the order of the rows.

    split: (N,) codes into SPLITS; `unused` counts nowhere. Patients and slides may not stand on two of the sides
    {labelled and pool, validation, test}; pixels may not stand in two of the four splits. A `unit` forced below
    the patient (or the slide) declares that patients (and slides) may be divided, and they are not looked at.
    """
    side = np.where(split == POOL, LABELLED, split)
    leaks: list[Leak] = []
    if unit in ("auto", "patient"):
        leaks += _shared(table, "patient", patients(table), side, split)
    if unit != "patch":
        leaks += _shared(table, "slide", slides(table), side, split)
    return leaks + _shared(table, "pixels", pixel_groups(table), split, split)


def _shared(table: PatchTable, kind: Kind, group: np.ndarray, side: np.ndarray, split: np.ndarray) -> list[Leak]:
    rows = np.flatnonzero((group >= 0) & (split != UNUSED))
    rows = rows[np.lexsort((table.ids[rows], side[rows], group[rows]))]
    # the first patch (lowest id) of every group on every side
    first = np.ones(len(rows), bool)
    first[1:] = (group[rows[1:]] != group[rows[:-1]]) | (side[rows[1:]] != side[rows[:-1]])
    rows = rows[first]
    second = np.flatnonzero(group[rows[1:]] == group[rows[:-1]]) + 1
    # of a group on three sides, the first two are named
    second = second[np.r_[True, group[rows[second[1:]]] != group[rows[second[:-1]]]][: len(second)]]
    pairs = np.stack([rows[second - 1], rows[second]], axis=1)
    pairs = pairs[np.argsort(table.ids[pairs].min(axis=1), kind="stable")]
    return [
        Leak(kind, _name(table, kind, int(a)), (SPLITS[int(split[a])], SPLITS[int(split[b])]), (int(a), int(b)))
        for a, b in pairs
    ]


def _name(table: PatchTable, kind: Kind, row: int) -> str:
    if kind == "pixels":
        return f"{int(table.pixels[row, 0]):016x}{int(table.pixels[row, 1]):016x}"
    return table.slide[row] if kind == "slide" else table.patient[row] or f"of slide {table.slide[row]}"


def leak_error(leaks: list[Leak], table: PatchTable, key: Callable[[int], str]) -> ChainError:
    """The refusal for a non-empty list of leaks. `key`: a row's place in its source."""
    leak = leaks[0]
    a, b = (f"{table.source[row]}:{key(row)} (patch {id_text(table.ids[row])})" for row in leak.rows)
    who = "the same pixels are" if leak.kind == "pixels" else f"{leak.kind} {leak.name} is"
    counts = Counter(other.kind for other in leaks[1:])
    words = {"patient": "patients", "slide": "slides", "pixels": "pixel copies"}
    further = ", ".join(f"{n:,} {words[kind]}" for kind, n in counts.items())
    what = f"{who} in {leak.splits[0]} and in {leak.splits[1]}: {a} and {b}" + (
        f"; and {further} more" if further else ""
    )
    if leak.kind == "pixels" and set(leak.splits) != {"validation", "test"}:
        todo = "set splits.duplicates: drop to leave the copies out of the pool, then of the labelled, or remove them"
    elif leak.kind == "pixels":
        todo = "remove the copies from one of the two; patches of validation and test are never dropped for you"
    else:
        todo = (
            f"give all patches of a {leak.kind} the same part or split in the sources, or correct the {leak.kind} names"
        )
    return ChainError(what, "what a model has seen says nothing about what it will do", todo, ExitCode.BAD_DATA)


def drop_copies(table: PatchTable, split: np.ndarray) -> np.ndarray:
    """Move pixel copies to `unused`: from the pool, then from labelled, never from validation or test."""
    group = pixel_groups(table)
    split = split.copy()
    judged = np.zeros(int(group.max(initial=-1)) + 1, bool)
    labelled = judged.copy()
    judged[group[(split == VALIDATION) | (split == TEST)]] = True
    labelled[group[split == LABELLED]] = True
    split[((split == LABELLED) | (split == POOL)) & judged[group]] = UNUSED
    split[(split == POOL) & labelled[group]] = UNUSED
    return split
