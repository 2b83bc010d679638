"""The thumbnail of a slide with what was made of it: tissue outline, annotated regions, patches coloured by label."""

from collections.abc import Sequence

import numpy as np

from data.slides.annotations import Annotations

LONGEST_PX = 1600


def picture(
    thumbnail: np.ndarray,
    downsample: float,
    mask: np.ndarray | None,
    xy_px: np.ndarray,
    side_px: float,
    labels: Sequence[str],
    annotations: Annotations | None = None,
) -> bytes:
    """JPEG bytes (a function of the arguments alone), longest side at most LONGEST_PX.

    thumbnail: (H, W, 3) uint8 RGB; downsample: level-0 pixels a thumbnail pixel; mask: (H', W') bool over the same
    area, any size; xy_px: (N, 2) level-0 top-left; side_px: level-0 side; labels: N texts, "" none.
    """
    raise NotImplementedError
