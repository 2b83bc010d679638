"""albumentations' operations one after the other on one image, without what only boxes, masks and replays need.

For a patch of 96 px most of `A.Compose` is not pixels but bookkeeping. Every draw here is made as it makes it, from
the same generators in the same order, so the pixels are the same to the last bit, but for grain, and for a step of grey
where large patches are moved (`data.augment.warp`).
"""

import math
import random
from collections.abc import Sequence
from typing import Any

import albumentations as A  # noqa: N812
import cv2
import numpy as np
from albucore.functions import sz_lut
from albumentations.augmentations.geometric import functional as geometric

from data.augment import grain
from data.augment.drawn import Drawn, performed
from data.augment.warp import warped

TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
GREYS = np.arange(256, dtype=np.float32)


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
    """Without the matrix of boxes, and moved by OpenCV directly: no shear, same size."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """What is drawn for one image, in albumentations' order."""
        shape = params["shape"][:2]
        by = self._get_translate_params(shape)
        self._get_shear_params()  # always 0
        scale = self._get_scale(self.scale, self.keep_ratio, self.balanced_scale, self.py_random)
        angle = math.radians(self.py_random.uniform(*self.rotate))
        cos, sin = math.cos(angle), math.sin(angle)
        (a, b), (c, d) = (cos * scale["x"], sin * scale["y"]), (-sin * scale["x"], cos * scale["y"])
        x, y = geometric.center(shape)
        # zoomed and turned about the centre, then moved
        return {"matrix": np.array([[a, b, x + by["x"] - a * x - b * y], [c, d, y + by["y"] - c * x - d * y]])}

    def apply(self, img: np.ndarray, matrix: np.ndarray, **params: Any) -> np.ndarray:
        """img: (H, W, C); matrix: (2, 3)."""
        return warped(img, matrix, self.interpolation)


class Light(A.RandomBrightnessContrast):  # type: ignore[misc] # as above
    """Through a table of 256 greys, as albumentations does it, with less around it."""

    def apply(self, img: np.ndarray, alpha: float, beta: float, **params: Any) -> np.ndarray:
        """img: (H, W, C); alpha: contrast; beta: brightness, in grey values. Parts of one are cut off."""
        if img.dtype != np.uint8:
            lit: np.ndarray = super().apply(img, alpha, beta, **params)
            return lit
        table = np.clip(GREYS * alpha + beta, 0, 255).astype(np.uint8)
        seen: np.ndarray = sz_lut(img, table, inplace=False)  # in a third of OpenCV's time
        return seen


class Grain(A.GaussNoise):  # type: ignore[misc] # as above
    """As strong as albumentations would draw it; its numbers are those of `data.augment.grain`."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """What is drawn for one image."""
        most = 255 if data["image"].dtype == np.uint8 else 1
        return grain.drawn(most * self.py_random.uniform(*self.std_range), self.random_generator)

    def apply(self, img: np.ndarray, place: int, deviation: float, **params: Any) -> np.ndarray:
        """img: (H, W, C); values may leave the range of float32."""
        return grain.grained(img, place, deviation)


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
