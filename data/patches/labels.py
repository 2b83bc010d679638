"""Labels and their provenance. Given labels train; audit labels only judge; they are different types."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class GivenLabels:
    """Labels a human gave: the only ones training, calibration and gates may see.

    ids: (N,) uint64 ascending; label: (N,) int16 in [0, C).
    """

    ids: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class AuditLabels:
    """Hidden truth of pool patches, where the source happens to know it. Accepted by quality and report only.

    ids: (M,) uint64 ascending, a subset of the pool; label: (M,) int16 in [0, C).
    Not a subclass of GivenLabels: passing it to training is a type error, not a promise.
    """

    ids: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)
