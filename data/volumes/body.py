"""Where the patient is: body against air, without the table."""

import numpy as np

from data.errors import ChainError, ExitCode
from data.volumes.label_map import LabelMap

BODY_HU = -500  # between lung and fat; lungs come back as holes of the body
COARSE_MM = 2.0  # a finer body mask costs time and tells nothing more about patches
OPENING_MM = 4.0  # sheets thinner than twice this (table tops, blankets) come off the body
LEAST_SHARE = 0.001  # of the volume: less is no body
ALSO_SHARE = 0.5  # of the largest piece: the other leg is body, too


def body_mask(hu: np.ndarray, spacing_mm: tuple[float, float, float], shown: str) -> LabelMap:
    """The largest piece above -500 HU, opened in each slice, its holes (lungs, bowel) filled in each slice.

    And pieces nearly as large: legs, feet, knees and hands are two.

    hu: (Z, Y, X) int16. shown: what messages call the volume. Raises ChainError (65) when there is no body.
    """
    from scipy.ndimage import binary_fill_holes, binary_opening, label

    every = tuple(max(1, int(COARSE_MM / step)) for step in spacing_mm[::-1])
    dense = hu[tuple(slice(None, None, k) for k in every)] > BODY_HU
    across_mm = [spacing_mm[axis] * every[2 - axis] for axis in (1, 0)]
    dense = binary_opening(dense, _disc(*(max(1, round(OPENING_MM / step)) for step in across_mm))[None])
    pieces, count = label(dense)
    sizes = np.bincount(pieces.ravel())[1:]
    if not count or sizes.max() < LEAST_SHARE * dense.size:
        raise ChainError(
            f"{shown}: no body is found in it",
            f"less than {LEAST_SHARE:.1%} of it is one piece denser than {BODY_HU} HU",
            "look at its thumbnail; take where.region: volume, or a mask",
            ExitCode.BAD_DATA,
        )
    body = np.r_[False, sizes >= ALSO_SHARE * sizes.max()][pieces]
    for piece in body:
        piece[:] = binary_fill_holes(piece)
    nearest = [
        np.minimum((np.arange(n) / k + 0.5).astype(np.int64), m - 1)
        for n, k, m in zip(hu.shape, every, body.shape, strict=True)
    ]
    return LabelMap(body[np.ix_(*nearest)].view(np.uint8), spacing_mm)


def _disc(half_y: int, half_x: int) -> np.ndarray:
    y, x = np.mgrid[-half_y : half_y + 1, -half_x : half_x + 1]
    disc: np.ndarray = (y / half_y) ** 2 + (x / half_x) ** 2 <= 1
    return disc
