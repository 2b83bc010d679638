"""The label of each patch from the regions people drew: by the share of its area inside each class."""

import numpy as np

from data.slides.annotations import Annotations, AnnotationsConfig


def label_patches(
    xy_px: np.ndarray, side_px: float, annotations: Annotations, config: AnnotationsConfig
) -> tuple[list[str], np.ndarray]:
    """Labels of patches ("" for none) and (N,) bool: whether to keep each.

    xy_px: (N, 2) level-0 top-left; side_px: their level-0 side. A patch has a class when at least config.min_share of
    its area lies inside the union of the class's regions. Of two such classes the larger share wins (equal shares: the
    first by name), or as config.ambiguous says.
    """
    raise NotImplementedError
