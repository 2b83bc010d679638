"""Whole numbers on the grid of a volume: an organ mask, a lesion mask, the body. Read by nearest neighbour."""

from dataclasses import dataclass

import numpy as np

from data.volumes.lattice import Lattice


@dataclass(frozen=True)
class LabelMap:
    """values: (Z, Y, X) unsigned, on the voxels of a volume whose spacing_mm is x, y, z; 0 is background."""

    values: np.ndarray
    spacing_mm: tuple[float, float, float]

    def patch(self, lattice: Lattice, centre_mm: np.ndarray) -> np.ndarray:
        """(S, S, D) values at the samples of one patch, 0 outside the volume. centre_mm: in the volume's frame."""
        picked, inside = [], []
        for places, step, n in zip(lattice.places_mm(centre_mm), self.spacing_mm, self.values.shape[::-1], strict=True):
            # half up, and what lies half-way but for the last bits of a float too
            nearest = np.floor(places / step + 0.5 + 1e-9).astype(np.int64)
            inside.append((nearest >= 0) & (nearest < n))
            picked.append(np.clip(nearest, 0, n - 1))
        (x, y, z), (x_in, y_in, z_in) = picked, inside
        found = self.values[z[:, None, None], y[:, None], x]
        found = np.where(z_in[:, None, None] & y_in[:, None] & x_in, found, 0)
        return np.ascontiguousarray(found.transpose(1, 2, 0))

    def share(self, lattice: Lattice, centre_mm: np.ndarray, values: tuple[int, ...] | None = None) -> float:
        """The share of one patch's samples that have one of `values`; None: any but background."""
        found = self.patch(lattice, centre_mm)
        return float((found != 0).mean() if values is None else np.isin(found, values).mean())
