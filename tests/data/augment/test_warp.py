"""A patch is moved as OpenCV moves it, whatever is done before to be faster."""

import math

import cv2
import numpy as np
import pytest

from data.augment.warp import LARGE_PX, mirrored, warped


def matrices(size: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        matrix = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-45, 45), rng.uniform(0.6, 1.5))
        matrix[:, 2] += rng.uniform(-0.5, 0.5, 2) * size
        found.append(matrix)
    return [*found, np.array([[1.0, 0, 0], [0, 1, 0]]), np.array([[1.0, 0, size - 1], [0, 1, 1 - size]])]


def rough(size: int, channels: int, dtype: type) -> np.ndarray:
    values = np.random.default_rng(1).integers(0, 256, (size, size, channels))
    return (values / 255 if dtype is np.float32 else values).astype(dtype)


@pytest.mark.parametrize("size", [31, LARGE_PX, 200])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("flags", [cv2.INTER_LINEAR, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP])
def test_it_is_opencvs_own_warp(size: int, channels: int, dtype: type, flags: int) -> None:
    image = rough(size, channels, dtype)
    step = 1 if dtype is np.uint8 else 1 / 255
    for matrix in matrices(size):
        plain = cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        found = warped(image, matrix, flags)
        assert found.shape == image.shape
        assert found.dtype == image.dtype
        apart = np.abs(found.astype(np.float64) - plain.reshape(image.shape))
        if size < LARGE_PX:
            assert apart.max() == 0
        assert apart.max() <= step * (1 + 1e-6)
        assert apart.mean() <= step / 200


@pytest.mark.parametrize("inverse", [True, False])
def test_nothing_is_sampled_outside_of_what_was_mirrored_and_no_more_is_mirrored_than_needed(inverse: bool) -> None:
    size = 160
    corners = np.array([[0, 0, 1], [size - 1, 0, 1], [0, size - 1, 1], [size - 1, size - 1, 1]], float).T
    for angle in (0, 10, 40):
        turn = np.array([[math.cos(math.radians(angle)), -math.sin(math.radians(angle)), 12.3],
                         [math.sin(math.radians(angle)), math.cos(math.radians(angle)), -7.9]])  # fmt: skip
        wide, moved = mirrored(rough(size, 4, np.uint8), turn if inverse else cv2.invertAffineTransform(turn), inverse)
        seen = (moved if inverse else cv2.invertAffineTransform(moved)) @ corners
        for axis, side in enumerate(wide.shape[1::-1]):
            assert seen[axis].min() >= 0
            assert seen[axis].max() + 1 < side
        if angle == 0:
            assert wide.shape[:2] == (size + 8, size + 14)
