"""What a model says of every patch: log-probabilities by patch id, kept whole so that decisions can be remade."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import replacing
from stages.blocks import blocks

REQUIRED, MORE = ("ids", "log_probs"), ("deviation", "opinions")


@dataclass(frozen=True)
class Scores:
    """Scores of one part. ids: (N,) uint64 ascending; log_probs: (N, C) float16, rows are log-softmax.

    deviation: (N, C) float16, standard deviation of each probability over the MC-dropout passes, None: there were
    none; opinions: (K, N, C) float16, log-probabilities of K earlier states of the same teacher, the latest first.
    """

    ids: np.ndarray
    log_probs: np.ndarray
    deviation: np.ndarray | None = None
    opinions: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def probs(self, temperature: float | np.ndarray = 1.0) -> np.ndarray:
        """softmax(log_probs / temperature), one or (N,): (N, C) float32, rows sum to 1."""
        each = np.broadcast_to(temperature, len(self))
        probs = np.empty(self.log_probs.shape, np.float32)
        for rows in blocks(len(self)):
            probs[rows] = softmax_columns(self.log_probs[rows], each[rows]).T
        return probs

    def without(self, ids: np.ndarray) -> "Scores":
        """Of all other patches than `ids`."""
        _, gone = found_in(self.ids, ids)
        if not len(gone):
            return self
        rest = np.ones(len(self), bool)
        rest[gone] = False
        deviation = None if self.deviation is None else self.deviation[rest]
        opinions = None if self.opinions is None else np.ascontiguousarray(self.opinions[:, rest])
        return Scores(self.ids[rest], self.log_probs[rest], deviation, opinions)

    def beside(self, teacher: "Scores") -> "Scores":
        """These log-probabilities of the same patches, with the deviation and opinions that `teacher` has."""
        assert np.array_equal(self.ids, teacher.ids), "scores of other patches"
        return Scores(self.ids, self.log_probs, teacher.deviation, teacher.opinions)

    def alone(self) -> "Scores":
        """Without deviation and opinions."""
        return Scores(self.ids, self.log_probs)

    def others(self) -> list["Scores"]:
        """What each earlier state of the teacher says of the same patches."""
        return [Scores(self.ids, each) for each in self.opinions] if self.opinions is not None else []


def found_in(ids: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the ids `wanted`, (M,), stand in `ids`, (N,) ascending, and in which rows: (M,) bool, (K,) int64."""
    at = np.searchsorted(ids, wanted)
    there = at < len(ids)
    there[there] = ids[at[there]] == wanted[there]
    return there, at[there]


def softmax_columns(log_probs: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """softmax(log_probs / temperature), one or (N,), a class a row: (N, C) float16 -> (C, N) float32.

    In this order of memory every step runs along patches, not along a handful of classes, which is several times as
    fast; each value is what the plain formula, row by row, gives, to the last bit.
    """
    columns: np.ndarray = np.ascontiguousarray(log_probs.T).astype(np.float32)
    columns /= np.asarray(temperature, np.float32)
    columns -= columns.max(axis=0, initial=-np.inf)
    np.exp(columns, out=columns)
    columns /= _added(columns)
    return columns


def _added(columns: np.ndarray) -> np.ndarray:
    # (C, N) -> (N,), in the order in which NumPy adds a contiguous row: eight sums side by side, halves of long ones
    n = len(columns)
    total: np.ndarray = np.zeros(columns.shape[1:], columns.dtype)
    if n > 128:
        half = n // 2 - n // 2 % 8
        total += _added(columns[:half]) + _added(columns[half:])
        return total
    whole = n - n % 8 if n >= 8 else 0
    if whole:
        side = columns[:8].copy()
        for start in range(8, whole, 8):
            side += columns[start : start + 8]
        total += ((side[0] + side[1]) + (side[2] + side[3])) + ((side[4] + side[5]) + (side[6] + side[7]))
    for column in columns[whole:]:
        total += column
    return total


def write_scores(path: Path, parts: Mapping[str, Scores]) -> None:
    """Write `scores.h5`: a group a part with contiguous `ids` and `log_probs`, and `deviation` and `opinions`.

    The last two only where there are any. Equal scores are equal bytes.
    """
    from data.files.hdf5 import h5py

    with replacing(path) as part, h5py.File(part, "w") as file:
        for name in sorted(parts):
            scores = parts[name]
            assert scores.log_probs.shape[:1] == scores.ids.shape, name
            assert bool((scores.ids[1:] > scores.ids[:-1]).all()), f"{name}: ids not ascending"
            group = file.create_group(name)
            group.create_dataset("ids", data=scores.ids.astype(np.uint64, copy=False))
            group.create_dataset("log_probs", data=scores.log_probs.astype(np.float16, copy=False))
            if scores.deviation is not None:
                assert scores.deviation.shape == scores.log_probs.shape, name
                group.create_dataset("deviation", data=scores.deviation.astype(np.float16, copy=False))
            if scores.opinions is not None:
                assert scores.opinions.shape[1:] == scores.log_probs.shape, name
                group.create_dataset("opinions", data=scores.opinions.astype(np.float16, copy=False))


def lay_out_scores(
    path: Path, parts: Mapping[str, np.ndarray], columns: Mapping[str, tuple[int, ...]]
) -> dict[str, dict[str, np.ndarray]]:
    """The file that `write_scores` writes, with ids but without values: views to write them through, by part and name.

    parts: ids, ascending; columns: shape a patch of `log_probs` and of what else there is. Every view is (N, ...),
    that of `opinions` (N, K, C), whatever the order in the file. Raises OSError where there is no room for the file.
    """
    from data.files.hdf5 import h5py, laid_out, writable

    names = [name for name in ("log_probs", *MORE) if name in columns]
    places = []
    with h5py.File(path, "w") as file:
        for part in sorted(parts):
            ids = parts[part]
            assert bool((ids[1:] > ids[:-1]).all()), f"{part}: ids not ascending"
            group = file.create_group(part)
            group.create_dataset("ids", data=ids.astype(np.uint64, copy=False))
            for name in names:
                *states, classes = columns[name]
                places.append(laid_out(group, name, (*states, len(ids), classes), np.dtype(np.float16)))
    views = iter(writable(path, places))
    return {part: {name: np.moveaxis(next(views), -2, 0) for name in names} for part in sorted(parts)}


def read_scores(path: Path, part: str, mapped: bool = False) -> Scores:
    """Read one part of `scores.h5`. Raises ChainError: 66 when it is not there, 76 when it cannot be read.

    mapped: its arrays are views of the file, of which a large pool is read in blocks.
    """
    from data.files.hdf5 import read_arrays

    if not path.is_file():
        raise ChainError(
            f"{path} is missing",
            "selection reads the scores of the predict stage",
            "run the chain again",
            ExitCode.MISSING,
        )
    try:
        required, more = ([f"{part}/{name}" for name in names] for names in (REQUIRED, MORE))
        found = read_arrays(path, required, ExitCode.DAMAGED, more, mapped)
    except ChainError as error:
        raise ChainError(
            f"{path}: the scores of part {part} cannot be read",
            f"{error.what}: {error.why}",
            "make them again: rerun RUN --from the predict step of this round",
            ExitCode.DAMAGED,
        ) from error
    return Scores(**{name.removeprefix(f"{part}/"): values for name, values in found.items()})
