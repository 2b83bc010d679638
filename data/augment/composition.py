"""albumentations' operations one after the other on one image, without what only boxes, masks and replays need.

For a patch of 96 px most of `A.Compose` is not pixels but bookkeeping. Every draw here is made as it makes it, from
the same generators in the same order, so the pixels are the same to the last bit.
"""

import random
from collections.abc import Sequence
from typing import Any

import albumentations as A  # noqa: N812
import cv2
import numpy as np
from albumentations.augmentations.geometric import functional as geometric

from data.augment.drawn import Drawn, performed
from data.augment.warp import warped

TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


class Composition:
    """`A.Compose(steps)` for single images. Holds the generators of its last call: one a thread."""

    def __init__(self, steps: Sequence[A.ImageOnlyTransform | A.DualTransform]) -> None:
        self.steps = steps

    def __call__(self, image: np.ndarray, rng: np.random.Generator, chance: random.Random) -> np.ndarray:
        """image: (S, S, C) uint8, or float32; returns a new array of the same type, or the image where no step came."""
        return performed(image, self.drawn(image, rng, chance))

    def drawn(self, image: np.ndarray, rng: np.random.Generator, chance: random.Random) -> list[Drawn]:
        """What comes, in order, for any square image of this shape and type: no step asks for its values."""
        chance.random()  # A.Compose draws whether it is applied at all, and always is
        found = []
        for step in self.steps:
            if step.p < 1 and chance.random() >= step.p:
                continue
            step.set_random_state(rng, chance)
            params = step.update_transform_params(step.get_params(), {"image": image})
            params.update(step.get_params_dependent_on_data(params, {"image": image}))
            found.append(Drawn(type(step).__name__, step.apply, params))
        return found


class Turn(A.RandomRotate90):  # type: ignore[misc] # albumentations is not typed
    """By OpenCV, which copies a patch of 224 px in a tenth of the time that NumPy takes to make a turned view whole."""

    def apply(self, img: np.ndarray, factor: int, **params: Any) -> np.ndarray:
        """img: (H, W, C); factor: quarter turns, counterclockwise."""
        return cv2.rotate(img, TURNS[factor]).reshape(-1, img.shape[1 - factor % 2], img.shape[2]) if factor else img


class Affine(A.Affine):  # type: ignore[misc] # as above
    """Without the matrix of boxes, and moved by OpenCV directly: one scale for both axes, no shear, same size."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """What is drawn for one image, in albumentations' order."""
        shape = params["shape"][:2]
        translate, shear = self._get_translate_params(shape), self._get_shear_params()
        scale = self._get_scale(self.scale, self.keep_ratio, self.balanced_scale, self.py_random)
        rotate = self.py_random.uniform(*self.rotate)
        centre = geometric.center(shape)
        return {"matrix": geometric.create_affine_transformation_matrix(translate, shear, scale, rotate, centre)}

    def apply(self, img: np.ndarray, matrix: np.ndarray, **params: Any) -> np.ndarray:
        """img: (H, W, C); matrix: (3, 3)."""
        return warped(img, matrix[:2], self.interpolation)


class Grain(A.GaussNoise):  # type: ignore[misc] # as above
    """OpenCV's Gaussian numbers drawn as one row of 32 bits: in channels and 64 bits they are the same, and slower."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The grain of one image, in grey values, in albumentations' order. noise_map: (H, W, C) float32."""
        deviation = self.py_random.uniform(*self.std_range)
        self.py_random.uniform(*self.mean_range)  # the mean, always 0
        cv2.setRNGSeed(int(self.random_generator.integers(0, 2**16)))  # of this thread
        image = data["image"]
        grain = np.empty((image.shape[0], image[0].size), np.float32)
        cv2.randn(grain, 0.0, deviation)
        grain *= np.float32(255 if image.dtype == np.uint8 else 1)
        return {"noise_map": grain.reshape(image.shape)}

    def apply(self, img: np.ndarray, noise_map: np.ndarray, **params: Any) -> np.ndarray:
        """img: (H, W, C). Parts of a grey value are cut off, as albumentations does."""
        if img.dtype != np.uint8:
            return np.clip(cv2.add(img, noise_map).reshape(img.shape), 0, 1)
        return cv2.add(img, noise_map.astype(np.int16), dtype=cv2.CV_8U).reshape(img.shape)


class Cutout(A.CoarseDropout):  # type: ignore[misc] # as above
    """One hole of one value, cut into the image it is given."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Where the hole is, in albumentations' order."""
        height, width = params["shape"][:2]
        self.py_random.randint(1, 1)  # how many
        rng = self.random_generator
        high, wide = (
            int(side * rng.uniform(*part))
            for side, part in ((height, self.hole_height_range), (width, self.hole_width_range))
        )
        top, left = (int(rng.integers(0, free + 1)) for free in (height - high, width - wide))
        return {"hole": (slice(top, top + high), slice(left, left + wide))}

    def apply(self, img: np.ndarray, hole: tuple[slice, slice], **params: Any) -> np.ndarray:
        """img: (H, W, C)."""
        cut = img.copy()
        cut[hole] = self.fill
        return cut
