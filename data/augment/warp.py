"""Patches turned, zoomed and shifted by OpenCV; what comes in from outside is the mirror image of what is there."""

import cv2
import numpy as np

LARGE_PX = 128  # from this side on it pays to mirror first


def warped(image: np.ndarray, matrix: np.ndarray, flags: int = cv2.INTER_LINEAR) -> np.ndarray:
    """image: (S, S, C) uint8 or float32, C at most 4; matrix: (2, 3). Same shape and type.

    Three channels go as four: OpenCV 5 moves those in less than half of the time, to the same values.
    """
    three = image.shape[2] == 3
    wide = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA) if three else image
    if image.shape[0] >= LARGE_PX:
        wide, matrix = mirrored(wide, matrix, bool(flags & cv2.WARP_INVERSE_MAP))
    moved = cv2.warpAffine(wide, matrix, image.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB) if three else moved.reshape(image.shape)


def mirrored(image: np.ndarray, matrix: np.ndarray, inverse: bool) -> tuple[np.ndarray, np.ndarray]:
    """The image with as much mirror image around it as the result shows, and the matrix for it.

    inverse: the matrix leads from the result to the image. Every sample then lies inside: for one outside OpenCV
    leaves its fast way. Values differ by a step of grey at most, where coordinates round otherwise.
    """
    last = image.shape[0] - 1
    (a, b, x), (c, d, y) = (matrix if inverse else cv2.invertAffineTransform(matrix)).tolist()
    # of the corners of the result; bilinear samples take one pixel more
    least = (x + last * (min(a, 0) + min(b, 0)), y + last * (min(c, 0) + min(d, 0)))
    most = (x + last * (max(a, 0) + max(b, 0)), y + last * (max(c, 0) + max(d, 0)))
    left, top = (min(last, max(0, int(1 - value))) for value in least)
    right, bottom = (min(last, max(0, int(value - last + 2))) for value in most)
    moved = np.array(matrix, np.float64)
    moved[:, 2] += (left, top) if inverse else -(moved[:, :2] @ (left, top))
    return cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REFLECT_101), moved
