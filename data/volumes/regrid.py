"""Linear interpolation onto a regular grid: slices that lie unevenly, and stacks that are tilted or oblique."""

import numpy as np

from data.volumes.volume import AIR_HU, closest_axes

MAX_VOXELS = 1 << 30  # 2 GiB of HU: more than 4,000 slices of 512 x 512


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
    and origin (3,); None when it would be larger than MAX_VOXELS.
    """
    from scipy.ndimage import affine_transform

    spacing = np.linalg.norm(affine[:, closest_axes(affine / np.linalg.norm(affine, axis=0))], axis=0)
    last = np.array(hu.shape[::-1]) - 1
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last @ affine.T + origin_mm
    start = corners.min(0)
    size = np.floor((corners.max(0) - start) / spacing + 1e-6).astype(int) + 1
    if size.astype(float).prod() > MAX_VOXELS:
        return None
    back = np.linalg.inv(affine)
    # scipy counts in the array's order, z first
    matrix = (back * spacing)[::-1, ::-1]
    offset = (back @ (start - origin_mm))[::-1]
    # "grid-constant": a place a rounding error outside is a mixture with air, not air
    values = affine_transform(
        hu, matrix, offset, tuple(size[::-1]), np.float32, order=1, mode="grid-constant", cval=AIR_HU, prefilter=False
    )
    return np.rint(values).astype(np.int16), spacing, start
