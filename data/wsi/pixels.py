"""One region of an open slide as RGB, composited on the slide's background."""

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import openslide
from openslide import lowlevel
from PIL import Image

from data.wsi.plan import MOST_READ_PX

# openslide-python's own call of the C function, straight into our memory. It is not public: where a version has
# another, the public way gives the same pixels, a tenth slower
_INTO: Callable[..., Any] | None = getattr(lowlevel, "_read_region", None)
_OPAQUE = 0xFF000000  # OpenSlide's pixels are 0xAARRGGBB


def read_rgb(
    handle: openslide.OpenSlide,
    level: int,
    x_px: int,
    y_px: int,
    width: int,
    height: int,
    background: tuple[int, int, int],
) -> np.ndarray:
    """(height, width, 3) uint8 RGB: level-0 position, size in pixels of the level. What is transparent is background.

    Raises openslide.OpenSlideError.
    """
    assert 0 < width <= MOST_READ_PX
    assert 0 < height <= MOST_READ_PX
    found = _opaque(handle, level, x_px, y_px, width, height)
    if found is not None:
        return found
    image = handle.read_region((x_px, y_px), level, (width, height))
    ground = Image.new("RGBA", image.size, (*background, 255))
    return np.asarray(Image.alpha_composite(ground, image).convert("RGB"))


def _opaque(
    handle: openslide.OpenSlide, level: int, x_px: int, y_px: int, width: int, height: int
) -> np.ndarray | None:
    """(height, width, 3), where every pixel is opaque, as nearly always."""
    osr = getattr(handle, "_osr", None)
    if _INTO is None or osr is None or sys.byteorder != "little":
        return None
    argb = np.empty((height, width), np.uint32)
    _INTO(osr, argb.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32)), x_px, y_px, level, width, height)
    if argb.min() < _OPAQUE:
        return None
    rgb: np.ndarray = cv2.cvtColor(argb.view(np.uint8).reshape(height, width, 4), cv2.COLOR_BGRA2RGB)
    return rgb
