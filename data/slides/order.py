"""The order in which a slide's patches are read, and stored: neighbours together, so that tiles are decoded once."""

import numpy as np

STRIP_PX = 16_384  # pixels of the level: two rows of tiles in a strip this wide fit the caches (handles, tiled_jpeg)


def reading_order(xy_px: np.ndarray, downsample: float) -> np.ndarray:
    """(N,) int64, indices: strip by strip from the left, in each row by row. xy_px: (N, 2) level-0 top-left."""
    strip = xy_px[:, 0] // round(STRIP_PX * downsample)
    return np.lexsort((xy_px[:, 0], xy_px[:, 1], strip)).astype(np.int64)
