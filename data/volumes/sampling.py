"""Patches out of a volume in HU: trilinear, exact for any spacing, smoothed first where the patch is coarser.

Smoothing follows Cardoso et al., "Scale factor point spread function matching" (MICCAI 2015): a Gaussian whose width
makes the voxel's point spread as wide as the sample's.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.ndimage import gaussian_filter1d

from data.volumes.lattice import NEAR_MM, Lattice
from data.volumes.volume import AIR_HU

# variance of a Gaussian of full width 1 at half of its height
_FULL_WIDTH = 1 / (8 * np.log(2))
REACH = 4.0  # of the Gaussian, in sigmas
BAND_ROWS = 64


class Sampler:
    """Samples one volume on one lattice. Safe to call from several threads.

    hu: (Z, Y, X) int16; spacing_mm: x, y, z.
    """

    def __init__(
        self,
        hu: np.ndarray,
        spacing_mm: tuple[float, float, float],
        lattice: Lattice,
        smooth: bool = True,
        threads: int = 1,
    ) -> None:
        self._lattice, self._spacing_mm = lattice, spacing_mm
        self._hu = smoothed(hu, spacing_mm, lattice, threads) if smooth else hu

    def patch(self, centre_mm: np.ndarray) -> tuple[np.ndarray, float]:
        """One patch, (S, S, D) int16 HU, and the share of its samples that lie outside the volume.

        centre_mm: (3,) x, y, z in the volume's frame. Rows go along y, columns along x, slices along z. A sample is
        outside when it is more than half a voxel beyond the outer voxel centres; it is air.
        """
        axes = [
            _weights(places, step, n)
            for places, step, n in zip(
                self._lattice.places_mm(centre_mm), self._spacing_mm, self._hu.shape[::-1], strict=True
            )
        ]
        (x0, x1, fx, x_in), (y0, y1, fy, y_in), (z0, z1, fz, z_in) = axes
        y_low, x_low = y0.min(), x0.min()
        box = self._hu[:, y_low : y1.max() + 1, x_low : x1.max() + 1]
        # one axis after another: trilinear interpolation is separable on a lattice along the axes
        values = _between(box[z0].astype(np.float32), box[z1].astype(np.float32), fz[:, None, None])
        values = _between(values[:, y0 - y_low], values[:, y1 - y_low], fy[:, None])
        values = _between(values[:, :, x0 - x_low], values[:, :, x1 - x_low], fx)
        inside = z_in[:, None, None] & y_in[:, None] & x_in
        whole = np.where(inside, np.rint(values), AIR_HU).astype("<i2")
        return np.ascontiguousarray(whole.transpose(1, 2, 0)), 1.0 - float(inside.mean())


def smoothed(hu: np.ndarray, spacing_mm: tuple[float, float, float], lattice: Lattice, threads: int = 1) -> np.ndarray:
    """(Z, Y, X) int16 ready to be sampled that far apart, or the volume itself where nothing is coarser.

    Bands of rows are smoothed by themselves: in floats the whole would take several times the volume's memory.
    """
    sigmas = [
        _sigma(wanted or 0.0, step) if n > 1 else 0.0
        for wanted, step, n in zip(
            (lattice.slice_mm, lattice.spacing_mm, lattice.spacing_mm), spacing_mm[::-1], hu.shape, strict=True
        )
    ]
    if not any(sigmas):
        return hu
    result = np.empty_like(hu)
    reach = int(REACH * sigmas[1] + 0.5)

    def band(first: int) -> None:
        last, low = min(first + BAND_ROWS, hu.shape[1]), max(0, first - reach)
        values = hu[:, low : last + reach].astype(np.float32)
        for axis, sigma in enumerate(sigmas):
            if sigma:
                values = gaussian_filter1d(values, sigma, axis, mode="nearest", truncate=REACH)
        result[:, first:last] = np.rint(values[:, first - low : last - low])

    with ThreadPoolExecutor(threads, thread_name_prefix="smooth") as pool:
        deque(pool.map(band, range(0, hu.shape[1], BAND_ROWS)), 0)
    return result


def _sigma(wanted_mm: float, step_mm: float) -> float:
    """Of the Gaussian, in voxels; 0 where samples are not coarser than voxels."""
    ratio = wanted_mm / step_mm
    return float(np.sqrt((ratio**2 - 1) * _FULL_WIDTH)) if ratio > 1 + 1e-6 else 0.0


def _weights(places_mm: np.ndarray, step_mm: float, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lower and upper neighbour (int64), the upper's weight (float32), and whether each place is inside."""
    index = places_mm / step_mm
    near = NEAR_MM / step_mm
    inside = (index >= -0.5 - near) & (index <= n - 0.5 + near)
    index = np.clip(index, 0, n - 1)
    # a place that is a voxel's but for the last bits of a float takes that voxel alone
    whole = np.rint(index)
    index = np.where(np.abs(index - whole) < near, whole, index)
    low = np.floor(index).astype(np.int64)
    return low, np.minimum(low + 1, n - 1), (index - low).astype(np.float32), inside


def _between(low: np.ndarray, high: np.ndarray, weight: np.ndarray) -> np.ndarray:
    between: np.ndarray = low + (high - low) * weight
    return between
