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
        near = (_nearest(*axis) for axis in zip(lattice.places_mm(centre_mm), self.spacing_mm, self.values.shape[::-1],
                                                strict=True))  # fmt: skip
        (x, x_in), (y, y_in), (z, z_in) = near
        found = self.values[z[:, None, None], y[:, None], x]
        found = np.where(z_in[:, None, None] & y_in[:, None] & x_in, found, 0)
        return np.ascontiguousarray(found.transpose(1, 2, 0))

    def shares(self, lattice: Lattice, x_mm: np.ndarray, y_mm: np.ndarray, z_mm: np.ndarray) -> np.ndarray:
        """(K, J, I) share of each patch's samples that are not background, for the patches of a whole grid.

        x_mm: (I,), y_mm: (J,), z_mm: (K,) of their centres. Exactly what `patch` would give, one by one.
        """
        # a patch's samples are a product of places along x, y and z, and so is their count: three matrix products
        along_z, along_y, along_x = (
            _counts(lattice, axis, centres, self.spacing_mm[axis], self.values.shape[2 - axis])
            for axis, centres in ((2, z_mm), (1, y_mm), (0, x_mm))
        )
        counts = np.zeros((len(z_mm), len(y_mm), len(x_mm)))
        for number, of_slice in enumerate(along_z.T):
            if of_slice.any():
                plane = along_y @ ((self.values[number] != 0).astype(np.float64) @ along_x.T)
                counts += of_slice[:, None, None] * plane
        shares: np.ndarray = counts / (lattice.size_px**2 * lattice.depth)
        return shares


def _nearest(places_mm: np.ndarray, step_mm: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest voxel of each place, and whether there is one."""
    # half up, and what lies half-way but for the last bits of a float too
    nearest = np.floor(places_mm / step_mm + 0.5 + 1e-9).astype(np.int64)
    return np.clip(nearest, 0, n - 1), (nearest >= 0) & (nearest < n)


def _counts(lattice: Lattice, axis: int, centres_mm: np.ndarray, step_mm: float, n: int) -> np.ndarray:
    """(patches, n) how many samples of each patch have each voxel along one axis as their nearest."""
    counts = np.zeros((len(centres_mm), n))
    for row, centre in enumerate(centres_mm):
        nearest, inside = _nearest(lattice.places_mm(np.full(3, centre))[axis], step_mm, n)
        np.add.at(counts[row], nearest[inside], 1)
    return counts
