"""Grain: Gaussian noise in every value of a patch, cut from one row of random numbers that every patch shares.

Drawing 150,000 numbers costs a patch of 224 px as much as all else that is done to it. So they are drawn once, and a
patch takes them from a place of its own: of a million there are, as video codecs lay film grain over a film (AV1
bitstream specification, 7.18.3).
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np

PLACES = 2**20  # a float32 tells them apart, for the way to a device


@lru_cache(maxsize=4)
def row(size: int) -> np.ndarray:
    """(PLACES + size,) float32 of mean 0 and deviation 1, the same in every process; not to be written to."""
    numbers = np.random.Generator(np.random.PCG64(0)).standard_normal(PLACES + size, np.float32)
    numbers.flags.writeable = False
    return numbers


def drawn(deviation: float, rng: np.random.Generator) -> dict[str, Any]:
    """For `grained`: as strong as asked for, from a random place."""
    return {"place": int(rng.integers(PLACES)), "deviation": deviation}


def grained(image: np.ndarray, place: int, deviation: float) -> np.ndarray:
    """image: (H, W, C); uint8 is rounded and stays so, all else becomes float32. deviation: in the image's values."""
    grain = row(image.size)[place : place + image.size].reshape(image.shape)
    if image.dtype != np.uint8:
        return image + np.float32(deviation) * grain
    return cv2.addWeighted(image, 1.0, grain, deviation, 0.0, dtype=cv2.CV_8U).reshape(image.shape)
