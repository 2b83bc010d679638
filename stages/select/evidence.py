"""All that a rule may know when it chooses: one frozen value, so that rules keep one signature."""

from dataclasses import dataclass, field

import numpy as np


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

    ids: (P,) uint64, unique, in any order; probs: (P, C) float32, calibrated and aligned as the rule asks, rows sum
    to 1; labelled: (C,) int64, given labels a class (empty: not known); deviation: (P, C) float32, standard deviation
    of each probability over the MC-dropout passes, None: there were none; opinions: (P, C) probabilities of other
    teachers of the same patches, the one of the round before first; round: counted from 0; seed: of the chain.
    """

    ids: np.ndarray
    probs: np.ndarray
    round: int = 0
    seed: int = 0
    labelled: np.ndarray = field(default_factory=lambda: _none(np.int64))
    held_out: HeldOut = field(default_factory=HeldOut)
    deviation: np.ndarray | None = None
    opinions: tuple[np.ndarray, ...] = ()
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def name(self, code: int) -> str:
        """A class for people."""
        return self.classes[code] if self.classes else f"number {code}"
