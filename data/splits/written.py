"""Who is in which split: read and written here, drawn once by `data/splits/drawing.py`, never drawn again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import replacing, write_json
from data.patches.labels import AuditLabels, GivenLabels

# codes of `Assignment.split`
SPLITS = ("labelled", "pool", "validation", "test", "unused")
LABELLED, POOL, VALIDATION, TEST, UNUSED = range(5)


@dataclass(frozen=True)
class Splits:
    """What the chain works on. Classes in order; ids ascending; nothing here knows a label of the pool.

    pool: (P,) uint64; mean, std: one a channel, in [0, 1], over labelled and pool. fold: (which, of how many) where
    validation is a fold of a cross-validation.
    """

    classes: tuple[str, ...]
    labelled: GivenLabels
    validation: GivenLabels
    test: GivenLabels
    pool: np.ndarray
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fold: tuple[int, int] | None = None

    @property
    def deciding(self) -> GivenLabels:
        """What calibrates and proves: validation, but nothing of a fold.

        The chain on all labels, which a cross-validation speaks of, has none; and a label that has chosen what a model
        learns does not judge that model.
        """
        return self.validation if self.fold is None else GivenLabels(self.validation.ids[:0], self.validation.label[:0])


@dataclass(frozen=True)
class Assignment:
    """The split of every patch of a store, rows by rising id.

    ids: (N,) uint64; split: (N,) int8 into SPLITS; label: (N,) int16, -1: none. Labels of the pool are hidden
    truth: `write_splits` sends them to audit.parquet alone. fold: as of `Splits`.
    """

    ids: np.ndarray
    split: np.ndarray
    label: np.ndarray
    classes: tuple[str, ...]
    unit: str
    warnings: tuple[str, ...]
    fold: tuple[int, int] | None = None


def write_splits(directory: Path, drawn: Assignment, mean: Sequence[float], std: Sequence[float]) -> None:
    """Write splits.parquet, audit.parquet and splits.json. The same assignment gives the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert bool((drawn.ids[1:] > drawn.ids[:-1]).all())
    given = np.isin(drawn.split, (LABELLED, VALIDATION, TEST))
    assert bool((drawn.label[given] >= 0).all())
    names = pa.DictionaryArray.from_arrays(pa.array(drawn.split.astype(np.int8)), pa.array(SPLITS)).dictionary_decode()
    label = np.where(given, drawn.label, -1).astype(np.int16)
    with replacing(directory / "splits.parquet") as part:
        pq.write_table(pa.table({"id": drawn.ids, "split": names, "label": label}), part)
    hidden = (drawn.split == POOL) & (drawn.label >= 0)
    with replacing(directory / "audit.parquet") as part:
        pq.write_table(pa.table({"id": drawn.ids[hidden], "label": drawn.label[hidden].astype(np.int16)}), part)
    write_json(
        directory / "splits.json",
        {
            "classes": list(drawn.classes),
            "unit": drawn.unit,
            "counts": {
                SPLITS[code]: {
                    name: int(n)
                    for name, n in zip(
                        drawn.classes,
                        np.bincount(drawn.label[drawn.split == code], minlength=len(drawn.classes)),
                        strict=True,
                    )
                }
                for code in (LABELLED, VALIDATION, TEST)
            },
            "patches": {name: int((drawn.split == code).sum()) for code, name in enumerate(SPLITS)},
            "warnings": list(drawn.warnings),
            "mean": [float(value) for value in mean],
            "std": [float(value) for value in std],
        }
        | ({} if drawn.fold is None else {"fold": list(drawn.fold)}),
    )


def load_splits(directory: Path) -> Splits:
    """Read what `write_splits` wrote, without the audit labels. Raises ChainError (66, 76)."""
    about = _json(directory / "splits.json")
    columns = _columns(directory / "splits.parquet", ("id", "split", "label"))
    ids, split, label = columns["id"], columns["split"], columns["label"]

    def given(code: int) -> GivenLabels:
        rows = split == code
        return GivenLabels(ids[rows].astype(np.uint64, copy=False), label[rows].astype(np.int16, copy=False))

    return Splits(
        classes=tuple(about["classes"]),
        labelled=given(LABELLED),
        validation=given(VALIDATION),
        test=given(TEST),
        pool=ids[split == POOL].astype(np.uint64, copy=False),
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        fold=tuple(about["fold"]) if "fold" in about else None,
    )


def load_audit(directory: Path) -> AuditLabels:
    """Read the hidden truth of the pool. Raises ChainError (66, 76). For quality and reports only."""
    columns = _columns(directory / "audit.parquet", ("id", "label"))
    return AuditLabels(columns["id"].astype(np.uint64), columns["label"].astype(np.int16))


def _columns(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # a word a patch would be a text a patch: read as numbers, and what they mean beside them
    try:
        table: Any = pq.read_table(_whole(path), columns=list(names), partitioning=None, read_dictionary=["split"])
        return {name: _codes(table[name]) if name == "split" else table[name].to_numpy() for name in names}
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _codes(column: Any) -> np.ndarray:
    """Of texts that are among SPLITS: (N,) int8 into them. Raises ValueError for another text."""
    parts = [
        np.array([SPLITS.index(name) for name in part.dictionary.to_pylist()], np.int8)[part.indices.to_numpy()]
        for part in column.chunks
    ]
    return np.concatenate(parts) if parts else np.empty(0, np.int8)


def _json(path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(_whole(path).read_text())
    except ValueError as error:
        raise _damaged(path, error) from error
    return about


def _damaged(path: Path, error: Exception) -> ChainError:
    return ChainError(
        f"{path} cannot be read", str(error), "make it again: rerun RUN --from data/splits", ExitCode.DAMAGED
    )


def _whole(path: Path) -> Path:
    if not path.is_file():
        raise ChainError(
            f"{path} is missing",
            "it says which patch is in which split",
            "rerun RUN --from data/splits",
            ExitCode.MISSING,
        )
    return path
