"""Patches turned, zoomed and shifted by OpenCV; what comes in from outside is the mirror image of what is there."""

import cv2
import numpy as np


def warped(image: np.ndarray, matrix: np.ndarray, flags: int = cv2.INTER_LINEAR) -> np.ndarray:
    """image: (H, W, C) uint8 or float32, C at most 4; matrix: (2, 3). Same shape and type.

    Three channels go as four: OpenCV 5 moves those in less than half of the time, to the same values.
    """
    three = image.shape[2] == 3
    wide = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA) if three else image
    moved = cv2.warpAffine(wide, matrix, image.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB) if three else moved.reshape(image.shape)
