"""From a stored patch to what a network sees: the one piece that training, scoring and statistics share."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from data.augment.drawn import Drawn
from data.augment.noise import Noise, felt
from data.pixels.network_input import NetworkInput
from data.pixels.windows import windowed
from data.stain_normaliser import StainNormaliser
from data.store.patch_store import PatchStore

R = TypeVar("R")


class Drawer(Protocol):
    """Disturbs patches; the draw is a function of the seed given with each of them."""

    def __call__(self, patch: np.ndarray, seed: int) -> np.ndarray:
        """The patch disturbed, as a network sees it."""

    def begun(self, patch: np.ndarray, seed: int) -> tuple[np.ndarray, Sequence[Drawn]]:
        """The same draw, as far as only OpenCV can do it, and what is left for a device."""


class Images:
    """The patches of a store by row, stain-normalised where the splits say so, windowed where they are in HU."""

    def __init__(self, store: PatchStore, stain: StainNormaliser | None = None) -> None:
        self.store, self.stain = store, stain
        self.kind = NetworkInput(store.mode, store.size_px, store.depth, store.windows)

    def image(self, row: int) -> np.ndarray:
        """The clean image, (S, S, C): uint8, or float32 in [0, 1]."""
        stored = self._stored(row)
        return windowed(stored, self.kind.windows) if self.kind.windows else as_image(stored)

    def noised(self, row: int, noise: Callable[[np.ndarray, int], R], seed: int) -> R:
        """What a `drawer` makes of the patch; of the image's shape and type, where it is the whole draw."""
        stored = self._stored(row)
        return noise(stored if self.kind.windows else as_image(stored), seed)

    def _stored(self, row: int) -> np.ndarray:
        pixels = self.store.pixels(row)
        return pixels if self.stain is None else self.stain(pixels, row)


def drawer(noise: Noise, kind: NetworkInput) -> Drawer:
    """What disturbs images of this kind: `draw(patch, seed)`. Picklable, and the same in every process."""
    # here, for who only looks at patches: albumentations brings torch along
    from data.augment.ct import CtNoiseDrawer
    from data.augment.pipeline import NoiseDrawer

    noise = felt(noise, kind.mode)
    return CtNoiseDrawer(noise, kind.windows) if kind.windows else NoiseDrawer(noise, kind.channels)


def as_image(pixels: np.ndarray) -> np.ndarray:
    """8-bit patches as they are; 16-bit ones as float32 in [0, 1], which is what noise and network expect."""
    return pixels if pixels.dtype == np.uint8 else (pixels.astype(np.float32) / 65535.0)
