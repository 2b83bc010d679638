"""Noise for CT: drawn in Hounsfield units, seen through windows afterwards. Never colour.

Whatever is drawn is the same for all slices of a patch and all windows, but for grain, which is each voxel's own: a
patch stays one piece of one body, as one scanner and one reader might have shown it. Operations come in the order of
the real thing: the patient lies otherwise, the scanner is calibrated otherwise and noisier, the reader chooses
another window; a hole is cut last.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from data.augment.noise import Noise
from data.windows import Window, apply

AIR_HU = -1000.0
OFTEN = 0.8  # how often an operation with a magnitude is drawn, as for colour patches
SLICES_A_CALL = 4  # OpenCV moves so many channels at once


class CtNoiseDrawer:
    """Disturbs patches in HU and windows them; the draw is a function of the seed given with each patch."""

    def __init__(self, noise: Noise, windows: Sequence[Window]) -> None:
        self.noise, self.windows = noise, tuple(windows)

    def __call__(self, hu: np.ndarray, seed: int) -> np.ndarray:
        """hu: (S, S, D) int16; returns (S, S, W * D) float32 in [0, 1], channels as `data.windows.apply` has them."""
        if self.noise.is_none:
            return apply(hu, self.windows)
        rng = np.random.Generator(np.random.PCG64(seed))
        noise = self.noise.chosen(rng)
        moved = moved_in_plane(turned(hu, noise, rng), noise, rng)
        image = apply(rescanned(moved, noise, rng), reread(self.windows, noise, rng))
        return with_hole(np.ascontiguousarray(image), noise, rng)


def turned(hu: np.ndarray, noise: Noise, rng: np.random.Generator) -> np.ndarray:
    """Mirrored, turned by quarters, slices in the other order or moved: voxels change places, none changes value."""
    if noise.flips:
        vertical, horizontal = rng.random(2) < 0.5
        hu = hu[:: -1 if vertical else 1, :: -1 if horizontal else 1]
    if noise.quarter_turns:
        hu = np.rot90(hu, int(rng.integers(4)))
    if noise.slice_flip and rng.random() < 0.5:
        hu = hu[:, :, ::-1]
    if noise.slice_shift:
        depth = hu.shape[2]
        by = int(rng.integers(-noise.slice_shift, noise.slice_shift + 1))
        hu = hu[:, :, np.clip(np.arange(depth) + by, 0, depth - 1)]
    return hu


def moved_in_plane(hu: np.ndarray, noise: Noise, rng: np.random.Generator) -> np.ndarray:
    """Turned, zoomed, shifted and cropped by one linear interpolation, every slice alike. (S, S, D), float32 if moved.

    What comes in from outside is the mirror image of what is there: no black corners to learn.
    """
    angle, zoom = math.radians(noise.rotate_deg) * rng.uniform(-1, 1), 1 + noise.scale * rng.uniform(-1, 1)
    shift = noise.shift * rng.uniform(-1, 1, 2)
    if rng.random() >= OFTEN:
        angle, zoom, shift = 0.0, 1.0, np.zeros(2)
    side = 1 - noise.crop * rng.random() if rng.random() < OFTEN else 1.0
    corner = (1 - side) * rng.uniform(-0.5, 0.5, 2)
    if angle == 0 and zoom == 1 and side == 1 and not shift.any():
        return hu
    size = hu.shape[0]
    centre = (size - 1) / 2
    # from a place in the result to one in the patch: (x, y) -> A ((x, y) - centre) + centre + offset
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    back = turn * (side / zoom)
    offset = (corner - shift) * size + centre - back @ (centre, centre)
    matrix = np.column_stack([back, offset])
    flat = np.ascontiguousarray(hu, np.float32)
    moved = np.empty_like(flat)
    for first in range(0, hu.shape[2], SLICES_A_CALL):
        part = cv2.warpAffine(
            flat[:, :, first : first + SLICES_A_CALL],
            matrix,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        moved[:, :, first : first + SLICES_A_CALL] = part.reshape(size, size, -1)
    return moved


def rescanned(hu: np.ndarray, noise: Noise, rng: np.random.Generator) -> np.ndarray:
    """By another scanner: attenuation scaled (air stays air), shifted, grainier. (S, S, D); float32 if changed."""
    scale, shift, deviation = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.random()
    if noise.intensity_scale or noise.intensity_shift_hu:
        factor = np.float32(1 + noise.intensity_scale * scale)
        hu = (hu - np.float32(AIR_HU)) * factor + np.float32(AIR_HU + noise.intensity_shift_hu * shift)
    if noise.grain_hu and rng.random() < OFTEN:
        hu = hu + rng.standard_normal(hu.shape, np.float32) * np.float32(noise.grain_hu * deviation)
    return hu


def reread(windows: Sequence[Window], noise: Noise, rng: np.random.Generator) -> Sequence[Window]:
    """By another reader: every window's level moved and width scaled by the same shares."""
    level, width = noise.window_level * rng.uniform(-1, 1), noise.window_width * rng.uniform(-1, 1)
    return windows if level == width == 0 else [window.jittered(level, width) for window in windows]


def with_hole(image: np.ndarray, noise: Noise, rng: np.random.Generator) -> np.ndarray:
    """One rectangle through all channels set to the middle of every window. image: (S, S, C) float32, changed."""
    if noise.cutout == 0 or rng.random() >= OFTEN:
        return image
    size = image.shape[0]
    height, width = (max(1, round(size * noise.cutout * share)) for share in rng.uniform(0.5, 1, 2))
    top, left = (int(rng.integers(size - side + 1)) for side in (height, width))
    image[top : top + height, left : left + width] = 0.5
    return image
