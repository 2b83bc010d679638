"""Linear interpolation onto a regular grid: slices that lie unevenly, and stacks that are tilted or oblique."""

import numpy as np

from data.volumes.volume import AIR_HU, closest_axes

MAX_VOXELS = 1 << 30  # 2 GiB of HU: more than 4,000 slices of 512 x 512
# how much larger than what it is made of a regular grid may be: an honest one is less than 4 times
MOST_GROWTH, SMALL_VOXELS = 16, 1 << 22
SLAB_VOXELS = 1 << 24


def too_large(made: float, given: int) -> bool:
    """Whether a grid of `made` voxels is more than `given` voxels can honestly become."""
    return not made <= min(MAX_VOXELS, max(SMALL_VOXELS, MOST_GROWTH * given))


def even_slices(hu: np.ndarray, along_mm: np.ndarray, step_mm: float) -> np.ndarray:
    """(K, Y, X) int16: the value at 0, step, 2 step ... between the slices hu (N, Y, X) at along_mm (N,), ascending."""
    count = int(np.floor(along_mm[-1] / step_mm + 1e-6)) + 1
    wanted = np.minimum(np.arange(count) * step_mm, along_mm[-1])
    upper = np.clip(np.searchsorted(along_mm, wanted, side="right"), 1, len(along_mm) - 1)
    share = (wanted - along_mm[upper - 1]) / (along_mm[upper] - along_mm[upper - 1])
    even = np.empty((count, *hu.shape[1:]), np.int16)
    for row, (above, weight) in enumerate(zip(upper, share.astype(np.float32), strict=True)):
        below = hu[above - 1].astype(np.float32)
        even[row] = np.rint(below + (hu[above] - below) * weight)
    return even


def axial(
    hu: np.ndarray, affine: np.ndarray, origin_mm: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """hu (Z, Y, X) on any grid, onto one along the world's axes that holds all of it; air outside.

    affine: (3, 3) one step along x, y, z of the array, columns in mm, at any angles. Returns hu, spacing (3,) x, y, z
    and origin (3,); None when it would be `too_large`.
    """
    from scipy.ndimage import affine_transform

    spacing = np.linalg.norm(affine[:, closest_axes(affine / np.linalg.norm(affine, axis=0))], axis=0)
    last = np.array(hu.shape[::-1]) - 1
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last @ affine.T + origin_mm
    start = corners.min(0)
    across = np.floor((corners.max(0) - start) / spacing + 1e-6) + 1
    if too_large(float(across.prod()), hu.size):
        return None
    size = across.astype(int)
    back = np.linalg.inv(affine)
    # scipy counts in the array's order, z first
    matrix = (back * spacing)[::-1, ::-1]
    offset = (back @ (start - origin_mm))[::-1]
    values = np.empty(size[::-1], np.int16)
    slab = max(1, SLAB_VOXELS // int(size[0] * size[1]))
    for z in range(0, len(values), slab):
        part = values[z : z + slab]
        # "grid-constant": a place a rounding error outside is a mixture with air, not air
        between = affine_transform(hu, matrix, offset + matrix[:, 0] * z, part.shape, np.float32, order=1,
                                   mode="grid-constant", cval=AIR_HU, prefilter=False)  # fmt: skip
        part[:] = np.rint(between)
    return values, spacing, start
