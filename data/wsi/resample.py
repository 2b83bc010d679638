"""From the pixels of a level to the pixels of a patch, at an exact, possibly fractional scale."""

import cv2
import numpy as np


def resampled(pixels: np.ndarray, scale: float, size_px: int) -> np.ndarray:
    """(S, S, 3) uint8: patch pixel i covers [i * scale, (i + 1) * scale) of `pixels`, (R, R, 3) uint8, R >= S * scale.

    scale > 1: the exact mean over that area; scale < 1: bilinear between centres; 1: `pixels` as they are.
    """
    if scale == 1.0:
        return pixels
    if scale < 1:
        # the centre of patch pixel i lies at (i + 0.5) * scale
        place = np.array([[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        grown: np.ndarray = cv2.warpAffine(
            pixels, place, (size_px, size_px), flags=how, borderMode=cv2.BORDER_REPLICATE
        )
        return grown
    if round(len(pixels) / scale) == len(pixels):
        # OpenCV copies where the size would stay the same, though the scale is not 1
        return _means(_means(pixels.astype(np.float64), scale, size_px, 0), scale, size_px, 1).round().astype(np.uint8)
    # given factors rather than a size, OpenCV scales by exactly these; the read square may hold one pixel more
    shrunk = cv2.resize(pixels, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
    assert min(shrunk.shape[:2]) >= size_px
    return np.ascontiguousarray(shrunk[:size_px, :size_px])


def _means(values: np.ndarray, scale: float, size_px: int, axis: int) -> np.ndarray:
    """Along one axis, by the integral: between pixels it is linear, so interpolating it is exact."""
    values = np.moveaxis(values, axis, 0)
    integral = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    edges = np.minimum(np.arange(size_px + 1) * scale, len(values))
    below = np.minimum(edges.astype(np.int64), len(values) - 1)
    share = (edges - below)[:, None, None]
    at_edges = integral[below] * (1 - share) + integral[below + 1] * share
    return np.moveaxis(np.diff(at_edges, axis=0) / scale, 0, axis)
