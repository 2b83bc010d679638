"""What people said of patches in review: labels that join the given ones, and patches that are of no use.

A review lies in a file of its own, never changed; a later one counts over an earlier one. Classes are kept by name:
their numbers may change when a store is made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import replacing
from data.patches.labels import GivenLabels
from data.printable import shortened
from data.splits.review_words import FILE, ROLE
from data.splits.written import Splits

REJECTED = -1


@dataclass(frozen=True)
class Reviewed:
    """ids: (M,) uint64 ascending; label: (M,) int16 in [0, C), REJECTED: a patch that is to be used for nothing."""

    ids: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def of(said: Mapping[int, int]) -> "Reviewed":
        """From patch id -> label or REJECTED."""
        ids = np.array(sorted(said), np.uint64)
        return Reviewed(ids, np.array([said[int(one)] for one in ids], np.int16))

    def over(self, earlier: "Reviewed") -> "Reviewed":
        """Both, this one counting where they speak of the same patch."""
        rest = ~np.isin(earlier.ids, self.ids)
        ids = np.concatenate([earlier.ids[rest], self.ids])
        order = np.argsort(ids)
        return Reviewed(ids[order], np.concatenate([earlier.label[rest], self.label])[order])


def honoured(splits: Splits, reviewed: Reviewed) -> Splits:
    """The splits as they are with a review: its patches leave the pool, those with a label are given labels.

    The label of a patch that was given one before is replaced; rejected, it teaches nothing. Patches that the splits
    hold out, or do not know, stay what they are: nothing of validation or test ever teaches. See `left_out`.
    """
    if not len(reviewed):
        return splits
    usable = np.isin(reviewed.ids, np.concatenate([splits.pool, splits.labelled.ids]))
    ids, label = reviewed.ids[usable], reviewed.label[usable]
    kept = ~np.isin(splits.labelled.ids, ids)
    taken = label != REJECTED
    given = np.concatenate([splits.labelled.ids[kept], ids[taken]])
    order = np.argsort(given)
    labels = np.concatenate([splits.labelled.label[kept], label[taken]])[order].astype(np.int16)
    pool = splits.pool[~np.isin(splits.pool, ids)]
    return replace(splits, labelled=GivenLabels(given[order], labels), pool=pool)


def left_out(splits: Splits, reviewed: Reviewed) -> int:
    """How many reviewed patches the splits hold out or do not know: the splits were drawn anew since."""
    if not len(reviewed):
        return 0
    return int((~np.isin(reviewed.ids, np.concatenate([splits.pool, splits.labelled.ids]))).sum())


def write_review(path: Path, reviewed: Reviewed, classes: Sequence[str]) -> None:
    """Write `labels.parquet` (id, label by name, null: rejected). Equal reviews are equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [None if code == REJECTED else classes[code] for code in reviewed.label]
    with replacing(path) as part:
        pq.write_table(pa.table({"id": reviewed.ids, "label": pa.array(names, pa.string())}), part)


def read_review(path: Path, classes: Sequence[str]) -> Reviewed:
    """Read one file. Raises ChainError: 76 when it cannot be read, 78 for a class that is not one of `classes`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["id", "label"], partitioning=None)
        ids, names = table["id"].to_numpy().astype(np.uint64), table["label"].to_pylist()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise ChainError(
            f"{path} cannot be read", str(error), "see which file is damaged: `verify RUN`", ExitCode.DAMAGED
        ) from error
    codes = {name: code for code, name in enumerate(classes)} | {None: REJECTED}
    if strange := sorted({name for name in names if name not in codes}):
        raise ChainError(
            f"{path} gives patches the class {shortened(strange[0])!r}",
            f"the classes are {', '.join(map(shortened, classes))} now",
            "keep the classes in data.classes as they were when these labels were given",
            ExitCode.MISMATCH,
        )
    return Reviewed(ids, np.array([codes[name] for name in names], np.int16))


def read_reviews(paths: Sequence[Path], classes: Sequence[str]) -> Reviewed:
    """Several, the earliest first, as one. Raises what `read_review` raises."""
    found = Reviewed.of({})
    for path in paths:
        found = read_review(path, classes).over(found)
    return found


def reviews_in(inputs: Mapping[str, Path], classes: Sequence[str]) -> Reviewed:
    """Those among the inputs of a step."""
    return read_reviews([inputs[role] / FILE for role in names_in(inputs)], classes)


def names_in(inputs: Mapping[str, Path]) -> list[str]:
    """The roles of the reviews among the inputs of a step, the earliest first."""
    return sorted(role for role in inputs if role.startswith(ROLE))
