"""The kinds of pixels a store can hold."""

from typing import Literal

import numpy as np

from data.pixels.bad_patch import BadPatch

Mode = Literal["rgb8", "grey8", "grey16", "hu16"]
# of one slice; only hu16 (Hounsfield units) knows patches of several
CHANNELS: dict[Mode, int] = {"rgb8": 3, "grey8": 1, "grey16": 1, "hu16": 1}
MAX_SIZE_PX = 4096  # a patch, not a slide
MAX_DEPTH = 256
DTYPE: dict[Mode, np.dtype] = {
    "rgb8": np.dtype("u1"),
    "grey8": np.dtype("u1"),
    "grey16": np.dtype("<u2"),
    "hu16": np.dtype("<i2"),
}


def mode_of(pixels: np.ndarray) -> Mode:
    """The mode of (H, W, C) pixels, C > 0. Raises BadPatch for any other kind."""
    match pixels.shape[2:], pixels.dtype.str[1:]:
        case (3,), "u1":
            return "rgb8"
        case (1,), "u1":
            return "grey8"
        case (1,), "u2":
            return "grey16"
        case (_,), "i2":
            return "hu16"
        case channels, _:
            raise BadPatch(
                f"{pixels.dtype} pixels with {channels[0]} channels: "
                "save it as 8-bit RGB, as 8- or 16-bit grey, or as int16 HU"
            )


def with_channels(pixels: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) as (H, W, C), contiguous and little-endian. Raises BadPatch for other shapes."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise BadPatch(f"an array of shape {pixels.shape} is no patch")
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
