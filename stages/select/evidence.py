"""All that a rule may know when it chooses: one frozen value, so that rules keep one signature."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from stages.blocks import blocks, each_block, let_go


class Probs(Protocol):
    """(N, C) float32, an array or what can be computed in pieces: given for a slice of its rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C)."""

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        """(M, C)."""


def _none(dtype: type) -> np.ndarray:
    return np.empty(0, dtype)


@dataclass(frozen=True)
class HeldOut:
    """Labelled patches the teacher never trained on, V of them; V is 0 where there is no validation.

    probs: (V, C) float32, of the same meaning as those of the pool; label: (V,) int16 in [0, C);
    group: (V,) int64, equal for patches of one patient (else slide, else each patch its own).
    """

    probs: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    label: np.ndarray = field(default_factory=lambda: _none(np.int16))
    group: np.ndarray = field(default_factory=lambda: _none(np.int64))

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Evidence:
    """P pool patches, C classes; row i of every (P, ...) array is patch ids[i]. Nothing here knows a label of the pool.

    ids: (P,) uint64, unique, in any order; believed: (P, C) float32, calibrated and aligned as the rule asks, rows sum
    to 1; labelled: (C,) int64, given labels a class (empty: not known); deviation: (P, C) float16 or float32, standard
    deviation of each probability over the MC-dropout passes, None: there were none; opinions: (P, C) probabilities of
    other teachers of the same patches, the one of the round before first; round: counted from 0; seed: of the chain.

    What is believed may be computed as it is asked for. Of a large pool a rule asks for `best`, or for slices.
    """

    ids: np.ndarray
    believed: Probs
    round: int = 0
    seed: int = 0
    labelled: np.ndarray = field(default_factory=lambda: _none(np.int64))
    held_out: HeldOut = field(default_factory=HeldOut)
    deviation: np.ndarray | None = None
    opinions: tuple[Probs, ...] = ()
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def probs(self) -> np.ndarray:
        """Everything that is believed, in memory: (P, C) float32, 4 P C bytes."""
        return self.believed if isinstance(self.believed, np.ndarray) else whole(self.believed)

    @cached_property
    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """Most probable class (ties: the lower) and its probability: (P,) int16, (P,) float32. Computed once."""
        return top_class(self.believed)

    @property
    def width(self) -> int:
        """C."""
        return self.believed.shape[1]

    def name(self, code: int) -> str:
        """A class for people."""
        return self.classes[code] if self.classes else f"number {code}"


def whole(probs: Probs) -> np.ndarray:
    """(N, C) float32 in memory."""
    found = np.empty(probs.shape, np.float32)
    for rows in blocks(len(found)):
        found[rows] = probs[rows]
    return found


def top_class(probs: Probs) -> tuple[np.ndarray, np.ndarray]:
    """Most probable class (ties: the lower) and its probability: (N, C) -> (N,) int16, (N,) float32."""
    count = probs.shape[0]
    label, confidence = np.empty(count, np.int16), np.empty(count, np.float32)

    def work(rows: slice) -> None:
        block = probs[rows]
        label[rows], confidence[rows] = next(ranked(block))
        let_go(block)

    each_block(count, work)
    return label, confidence


def ranked(block: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The most probable class of every row and its probability, then the next ones: C times (M,) int16, (M,) float32.

    Equal probabilities stand by rising class. block: (M, C), finite; it stays as it is.
    """
    classes = block.shape[1]
    # a class a row: many times as fast as along a handful of classes
    columns = np.ascontiguousarray(block.T).astype(np.float32, copy=False)
    # the lower a class, the higher its number here: the first of the largest is the largest number of them
    falling = np.arange(classes, 0, -1, dtype=np.int16)[:, None]
    for rank in range(classes):
        confidence = columns.max(axis=0)
        label = classes - ((columns == confidence) * falling).max(axis=0)
        yield label, confidence
        if rank == 0 and np.may_share_memory(columns, block):
            columns = columns.copy()
        columns[label, np.arange(len(label))] = -np.inf
