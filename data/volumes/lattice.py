"""The points at which one patch samples a volume, and where patches of a grid may stand. Millimetres throughout.

Places here are in the *volume's frame*: the centre of its first voxel is (0, 0, 0), the axes are the volume's own
x, y, z: `Volume.to_index` of a world point, times the spacing.
"""

from dataclasses import dataclass

import numpy as np

# a millionth of a millimetre: what is this near a border lies on it, whatever the last bit of a float says
NEAR_MM = 1e-6


@dataclass(frozen=True)
class Lattice:
    """The samples of a patch around its centre: size_px x size_px x depth.

    spacing_mm: between samples of one slice. slice_mm: between slices; None: the patch is one slice, taken from the
    volume as it was scanned, and the centre moves to the nearest.
    """

    size_px: int
    depth: int
    spacing_mm: float
    slice_mm: float | None

    def __post_init__(self) -> None:
        assert self.slice_mm is not None or self.depth == 1, "several slices have a distance"

    def places_mm(self, centre_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x (S,), y (S,) and z (D,) of the samples, ascending. The centre is in their middle, for odd and even S."""
        across = (np.arange(self.size_px) - (self.size_px - 1) / 2) * self.spacing_mm
        along = (np.arange(self.depth) - (self.depth - 1) / 2) * (self.slice_mm or 0.0)
        return centre_mm[0] + across, centre_mm[1] + across, centre_mm[2] + along

    def placed(self, centre_mm: np.ndarray, step_mm: float, slices: int) -> np.ndarray:
        """The centre (3,) a patch really gets in a volume of `slices` slices, `step_mm` apart."""
        if self.slice_mm is not None:
            return centre_mm
        # half up, as nearest is everywhere here; never beyond the first or last slice
        nearest = np.clip(np.floor(centre_mm[2] / step_mm + 0.5), 0, slices - 1)
        return np.array([centre_mm[0], centre_mm[1], nearest * step_mm])

    def extent_mm(self) -> tuple[float, float, float]:
        """x, y, z of the box of tissue that a patch stands for: half a sample more than its samples on each side."""
        side = self.size_px * self.spacing_mm
        return side, side, self.depth * (self.slice_mm or 0.0)


def grid_mm(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], lattice: Lattice, stride_mm: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres of a grid along x, y and z: each patch lies wholly in the volume, what is left over on both sides alike.

    shape: (Z, Y, X) of the volume; spacing_mm, stride_mm: x, y, z. Where a patch takes a slice as scanned, every
    centre is the place of one. An axis that is too short for a patch gives an empty array.
    """
    axes: list[np.ndarray] = []
    for axis, (n, step, extent, stride) in enumerate(
        zip(shape[::-1], spacing_mm, lattice.extent_mm(), stride_mm, strict=True)
    ):
        as_scanned = axis == 2 and lattice.slice_mm is None
        # the box of the volume reaches half a voxel beyond its outer voxel centres
        low, high = (0.0, (n - 1) * step) if as_scanned else (extent / 2 - step / 2, (n - 0.5) * step - extent / 2)
        if high < low - NEAR_MM:
            axes.append(np.empty(0))
            continue
        count = int(np.floor((high - low + NEAR_MM) / stride)) + 1
        first = low + max(0.0, high - low - (count - 1) * stride) / 2
        places = first + np.arange(count) * stride
        if as_scanned:
            places = np.unique(np.clip(np.floor(places / step + 0.5), 0, n - 1)) * step
        axes.append(places)
    return axes[0], axes[1], axes[2]
