"""A CT volume in Hounsfield units, and where each voxel lies in the patient."""

from dataclasses import dataclass, replace

import numpy as np

AIR_HU = -1024


@dataclass(frozen=True, eq=False)
class Volume:
    """hu: (Z, Y, X) int16.

    spacing_mm: between voxels along x, y, z of the array. origin_mm: (3,) world point of the centre of voxel
    (0, 0, 0). direction: (3, 3) float64, its columns are the unit vectors along x, y and z of the array, in world
    axes. World is LPS: x to the patient's left, y to the back, z to the head. notes: what was mended on the way in;
    they hold nothing that identifies a person.
    """

    hu: np.ndarray
    spacing_mm: tuple[float, float, float]
    origin_mm: np.ndarray
    direction: np.ndarray
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.hu.ndim == 3, self.hu.shape
        assert self.hu.dtype == np.int16, self.hu.dtype
        assert self.origin_mm.shape == (3,), self.origin_mm.shape
        assert self.direction.shape == (3, 3), self.direction.shape
        assert min(self.spacing_mm) > 0, self.spacing_mm

    @property
    def affine(self) -> np.ndarray:
        """(3, 3) float64: one step along x, y, z of the array (columns), in mm of the world."""
        scaled: np.ndarray = self.direction * np.asarray(self.spacing_mm)
        return scaled

    def to_world(self, index_xyz: np.ndarray) -> np.ndarray:
        """(..., 3) world points in mm of voxel places (..., 3), fractions allowed, x first."""
        world: np.ndarray = np.asarray(index_xyz, float) @ self.affine.T + self.origin_mm
        return world

    def to_index(self, world_mm: np.ndarray) -> np.ndarray:
        """(..., 3) voxel places, x first, of world points; the inverse of `to_world`."""
        offset = np.asarray(world_mm, float) - self.origin_mm
        index: np.ndarray = np.linalg.solve(self.affine, offset.reshape(-1, 3).T).T.reshape(offset.shape)
        return index

    def oriented(self) -> "Volume":
        """The same voxels in axial LPS order: array x to the left, y to the back, z to the head. No voxel is changed.

        Axes are exchanged and turned only; a direction that is a fraction of a degree off the axes stays so, and
        `to_world` stays exact.
        """
        order = closest_axes(self.direction)
        hu = self.hu.transpose([2 - order[2], 2 - order[1], 2 - order[0]])
        direction = self.direction[:, order].copy()
        spacing = (self.spacing_mm[order[0]], self.spacing_mm[order[1]], self.spacing_mm[order[2]])
        origin = self.origin_mm.copy()
        for axis in range(3):
            if direction[axis, axis] < 0:
                origin = origin + direction[:, axis] * spacing[axis] * (hu.shape[2 - axis] - 1)
                direction[:, axis] *= -1
                hu = np.flip(hu, 2 - axis)
        return replace(self, hu=np.ascontiguousarray(hu), spacing_mm=spacing, origin_mm=origin, direction=direction)


def closest_axes(direction: np.ndarray) -> list[int]:
    """For world x, y, z the array axis (0: x) that runs along it most closely; each axis is used once."""
    free = np.abs(direction).astype(float)
    order = [-1, -1, -1]
    for _ in range(3):
        world, axis = np.unravel_index(np.argmax(free), free.shape)
        order[world] = int(axis)
        free[world, :] = -1
        free[:, axis] = -1
    return order
