"""Who is judged, who decides, who may be labelled: drawn once a seed, by the program's own rules, and written down.

A quarter of the labels a class becomes the test split and a tenth is set aside for validation, in whole patients, else
slides (or the groups that stand for them), else patches. Of what is set aside only as many patches are used as the
budget of labels pays for, and the rest of those slides is left out of everything: validation patches are labels too.
The same slides are set aside whatever the fraction, and also where there is no validation, so that rows differ only in
what they are said to differ in. Copies of the same pixels stay on one side.
"""

import csv
import io
from collections.abc import Mapping

import numpy as np

from benchmarks.label_efficiency.listing import Listing
from data.errors import ChainError
from data.keys import uniform
from data.splits.config import SplitsConfig
from data.splits.drawing import draw_without_leaks
from data.splits.written import LABELLED, POOL, TEST, UNUSED, VALIDATION

TEST_SHARE, VALIDATION_SHARE = 0.25, 0.1
HEADER = ("path", "label", "patient", "slide", "split")


def sides(listing: Listing, seed: int) -> np.ndarray:
    """The side of every patch: (N,) int8, LABELLED where it may be labelled, else POOL, VALIDATION, TEST, UNUSED.

    Whole groups, a function of the listing and the seed. Raises ChainError (65) where groups are too few to divide.
    """
    given_test = bool((listing.split == "test").any())
    table, said = listing.table()
    config = SplitsConfig(
        seed=seed, validation=VALIDATION_SHARE, test=None if given_test else TEST_SHARE, labels="all", duplicates="drop"
    )
    try:
        drawn = draw_without_leaks(table, said, listing.classes, config, lambda row: str(listing.key[row]))
    except ChainError as error:
        if not error.what.startswith("splits."):
            raise
        # these shares are the table's own: no key of a chain, and no --set, changes them
        raise ChainError(
            error.what,
            f"every table sets {VALIDATION_SHARE:.0%} of the labels aside and judges by "
            + ("the test split of the set" if given_test else f"{TEST_SHARE:.0%}")
            + f", whatever --validation says; {error.why}",
            "give the manifest labels of more patients or slides, or leave these columns out: groups of colour then "
            "stand for them",
            error.code,
        ) from error
    assert bool((drawn.ids == listing.ids).all())
    return drawn.split


def budget(fraction: float, share: float, available: int) -> tuple[int, int]:
    """Labels a class: for training and for validation, of `available` training patches.

    Together the fraction, rounded; at least one for training, and one for validation where it gets a share at all.
    """
    total = max(1, int(np.floor(fraction * available + 0.5)))
    judging = max(1, int(np.floor(share * total + 0.5))) if share else 0
    return max(1, total - judging), judging


def manifest(
    listing: Listing,
    side: np.ndarray,
    seed: int,
    labels: dict[str, int] | None,
    judging: dict[str, int],
    thin: Mapping[str, float] | None = None,
    groups: int = 0,
) -> bytes:
    """The manifest of one cell. side: (N,) of `sides`; labels: how many a class are given, None: all.

    judging: validation patches a class. A larger number contains the smaller ones, of labels and of validation.
    thin: class -> share of its pool that is kept; labels and what judges are those of the whole pool. groups: see
    `given`.
    """
    split = np.full(len(listing), "", dtype="<U10")
    split[side == POOL], split[side == TEST] = "pool", "test"
    trains = side == LABELLED
    # audit: a source may know labels of its pool; the program keeps them apart and nothing decides by them
    split[trains] = "labelled" if labels is None else "pool"
    if labels is not None:
        split[given(listing, side, seed, labels, groups)] = "labelled"
    for name, share in (thin or {}).items():
        rows = np.flatnonzero((split == "pool") & (listing.label == name))
        split[rows[uniform(listing.ids[rows], "thin", seed) >= share]] = ""
    for name in listing.classes:
        own = listing.label == name
        split[_first(listing, (side == VALIDATION) & own, judging.get(name, 0), "judging", seed)] = "validation"
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(HEADER)
    for row in np.flatnonzero(split != ""):
        rows.writerow(
            [str(v[row]) for v in (listing.key, listing.label, listing.patient, listing.slide)] + [str(split[row])]
        )
    return out.getvalue().encode()


def given(listing: Listing, side: np.ndarray, seed: int, labels: dict[str, int], groups: int = 0) -> np.ndarray:
    """Which patches give their label, so many a class: (N,) bool. A larger number contains the smaller ones.

    groups: of a class, labels are of so many patients, else slides, alone, and as many as these have; 0: of all.
    """
    found = np.zeros(len(listing), bool)
    for name, count in labels.items():
        able = (side == LABELLED) & (listing.label == name)
        able &= np.isin(listing.group, _drawn(listing.group[able], groups, seed)) if groups else True
        found[_first(listing, able, count, "given", seed)] = True
    return found


def _drawn(group: np.ndarray, count: int, seed: int) -> np.ndarray:
    # one order of all patients whatever the class, so that labels of all classes are mostly of the same ones
    there = np.unique(group)
    return there[np.argsort(uniform(there.astype(np.uint64), "groups", seed), kind="stable")[:count]]


def _first(listing: Listing, able: np.ndarray, count: int, *keys: str | int) -> np.ndarray:
    rows = np.flatnonzero(able)
    single = np.sort(np.unique(listing.pixels[rows], axis=0, return_index=True)[1])  # of copies one is enough
    rows = rows[single]
    return rows[np.argsort(uniform(listing.ids[rows], *keys), kind="stable")[:count]]


def counts(listing: Listing, side: np.ndarray) -> dict[str, int]:
    """Training patches a class that may be labelled."""
    return {name: int(((side == LABELLED) & (listing.label == name)).sum()) for name in listing.classes}


def summary(side: np.ndarray, group: np.ndarray) -> dict[str, dict[str, int]]:
    """Patches and groups of each side."""
    names = {LABELLED: "training", POOL: "pool without labels", VALIDATION: "set aside", TEST: "test", UNUSED: "unused"}
    return {
        name: {"patches": int((side == code).sum()), "groups": len(np.unique(group[side == code]))}
        for code, name in names.items()
    }
