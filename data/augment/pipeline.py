"""Noise as albumentations draws it, keyed by patch and position, so that workers and ranks do not matter."""

import os
import random
from collections import defaultdict
from collections.abc import Sequence

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # no network look-up on import

import albumentations as A  # noqa: N812
import numpy as np

from data.augment import stain
from data.augment.composition import Affine, Composition, Cutout, Grain, Light, Turn
from data.augment.drawn import Drawn, dealt, performed
from data.augment.noise import Noise


class NoiseDrawer:
    """Disturbs patches; the draw is a function of the seed given with each patch.

    albumentations seeds a pipeline when it is built, which gives every worker and every epoch the same
    draws. So it is built in the process that uses it, on first use, and reseeded for each patch. Threads may share a
    drawer: while one draws, what it draws with is its own.
    """

    def __init__(self, noise: Noise, channels: int) -> None:
        self.noise = noise
        self.channels = channels
        self._none = noise.is_none
        # by choice; of each as many as ever drew at once
        self._idle: defaultdict[Noise, list[Composition]] = defaultdict(list)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_idle": defaultdict(list)}

    def __call__(self, patch: np.ndarray, seed: int) -> np.ndarray:
        """patch: (S, S, C) uint8, or float32 in [0, 1]; returns the same shape and type."""
        return patch if self._none else _performed(patch, self._drawn(patch, seed))

    def begun(self, patch: np.ndarray, seed: int) -> tuple[np.ndarray, Sequence[Drawn]]:
        """As far as only OpenCV can do it, and what is left for a device."""
        if self._none:
            return patch, ()
        here, left = dealt(self._drawn(patch, seed))
        return _performed(patch, here) if here else patch, left

    def _drawn(self, image: np.ndarray, seed: int) -> list[Drawn]:
        rng = np.random.Generator(np.random.PCG64(seed))
        noise, drawn = self.noise.chosen(rng), []
        if noise.stain > 0 and self.channels == 3:
            drawn.append(Drawn("Stain", stain.restained, stain.drawn(noise.stain, rng)))
        idle = self._idle[noise]
        try:
            compose = idle.pop()
        except IndexError:
            compose = Composition(_transforms(noise, image.dtype == np.uint8, image.shape[0]))
        # one pair of generators for all operations: seeding each of them anew costs a third of the whole pipeline
        drawn += compose.drawn(image, rng, random.Random(seed))  # noqa: S311 - noise, not secrets
        idle.append(compose)
        return drawn


def _performed(image: np.ndarray, drawn: Sequence[Drawn]) -> np.ndarray:
    found = performed(image, drawn)
    if found.dtype != np.uint8:
        found = np.clip(found, 0, 1)  # grain may leave the range
    return np.ascontiguousarray(found.reshape(image.shape))


def _transforms(noise: Noise, is_uint8: bool, size_px: int) -> list[A.BasicTransform]:
    steps: list[A.BasicTransform] = []
    if noise.flips:
        steps += [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    if noise.quarter_turns:
        steps.append(Turn(p=0.75))
    if noise.rotate_deg or noise.scale or noise.shift:
        steps.append(
            Affine(
                rotate=(-noise.rotate_deg, noise.rotate_deg),
                scale=(1 - noise.scale, 1 + noise.scale),
                translate_percent=(-noise.shift, noise.shift),
                border_mode=4,  # OpenCV's reflect_101: no black corners for the network to learn
                p=0.8,
            )
        )
    if noise.crop:
        side = (1 - noise.crop) ** 2  # albumentations counts area
        steps.append(A.RandomResizedCrop((size_px, size_px), scale=(side, 1), ratio=(1, 1), p=0.8))
    if noise.brightness or noise.contrast:
        steps.append(Light(noise.brightness, noise.contrast, p=0.8))
    if noise.blur:
        steps.append(A.GaussianBlur(blur_limit=(3, 5), p=noise.blur))
    if noise.grain:
        steps.append(Grain(std_range=(0.01, 0.05), p=noise.grain))
    if noise.jpeg and is_uint8:
        steps.append(A.ImageCompression(quality_range=(50, 95), p=noise.jpeg))
    if noise.cutout:
        steps.append(
            Cutout(
                num_holes_range=(1, 1),
                hole_height_range=(noise.cutout / 2, noise.cutout),
                hole_width_range=(noise.cutout / 2, noise.cutout),
                fill=0 if not is_uint8 else 127,
                p=0.8,
            )
        )
    return steps
