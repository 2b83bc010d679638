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

from data.augment import grain
from data.augment.drawn import Drawn, performed
from data.augment.noise import Noise
from data.augment.warp import warped
from data.pixels.windows import Window, windowed

AIR_HU = -1000.0
OFTEN = 0.8  # how often an operation with a magnitude is drawn, as for colour patches
SLICES_A_CALL = 4  # OpenCV moves so many channels at once
Shape = tuple[int, ...]


class CtNoiseDrawer:
    """Disturbs patches in HU and windows them; the draw is a function of the seed given with each patch."""

    def __init__(self, noise: Noise, windows: Sequence[Window]) -> None:
        self.noise, self.windows = noise, tuple(windows)

    def __call__(self, patch: np.ndarray, seed: int) -> np.ndarray:
        """patch: (S, S, D) int16; returns (S, S, W * D) float32 in [0, 1], channels as `windowed` has them."""
        return performed(patch, self._drawn(patch.shape, seed))

    def begun(self, patch: np.ndarray, seed: int) -> tuple[np.ndarray, Sequence[Drawn]]:
        """The patch as it is, and what is left for a device: everything, the windows too."""
        return patch, self._drawn(patch.shape, seed)

    def _drawn(self, shape: Shape, seed: int) -> list[Drawn]:
        if self.noise.is_none:
            return [Drawn("Windowed", windowed, {"windows": self.windows})]
        rng = np.random.Generator(np.random.PCG64(seed))
        noise = self.noise.chosen(rng)
        moved = turned(shape, noise, rng) + moved_in_plane(shape, noise, rng) + rescanned(shape, noise, rng)
        seen = Drawn("Windowed", windowed, {"windows": reread(self.windows, noise, rng)})
        return [*moved, seen, *holed(shape, noise, rng)]


def turned(shape: Shape, noise: Noise, rng: np.random.Generator) -> list[Drawn]:
    """Mirrored, turned by quarters, slices in the other order or moved: voxels change places, none changes value."""
    drawn = []
    if noise.flips:
        vertical, horizontal = rng.random(2) < 0.5
        drawn += [Drawn("VerticalFlip", lambda hu: hu[::-1], {})] if vertical else []
        drawn += [Drawn("HorizontalFlip", lambda hu: hu[:, ::-1], {})] if horizontal else []
    if noise.quarter_turns and (factor := int(rng.integers(4))):
        drawn.append(Drawn("Turn", lambda hu, factor: np.rot90(hu, factor), {"factor": factor}))
    depth = shape[2]
    order = np.arange(depth)
    if noise.slice_flip and rng.random() < 0.5:
        order = order[::-1]
    if noise.slice_shift:
        by = int(rng.integers(-noise.slice_shift, noise.slice_shift + 1))
        order = order[np.clip(np.arange(depth) + by, 0, depth - 1)]
    if (order != np.arange(depth)).any():
        drawn.append(Drawn("Slices", lambda hu, order: hu[:, :, order], {"order": order}))
    return drawn


def moved_in_plane(shape: Shape, noise: Noise, rng: np.random.Generator) -> list[Drawn]:
    """Turned, zoomed, shifted and cropped by one linear interpolation, every slice alike. (S, S, D) float32.

    What comes in from outside is the mirror image of what is there: no black corners to learn.
    """
    angle, zoom = math.radians(noise.rotate_deg) * rng.uniform(-1, 1), 1 + noise.scale * rng.uniform(-1, 1)
    shift = noise.shift * rng.uniform(-1, 1, 2)
    if rng.random() >= OFTEN:
        angle, zoom, shift = 0.0, 1.0, np.zeros(2)
    side = 1 - noise.crop * rng.random() if rng.random() < OFTEN else 1.0
    corner = (1 - side) * rng.uniform(-0.5, 0.5, 2)
    if angle == 0 and zoom == 1 and side == 1 and not shift.any():
        return []
    size = shape[0]
    centre = (size - 1) / 2
    # from a place in the result to one in the patch: (x, y) -> A ((x, y) - centre) + centre + offset
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    back = turn * (side / zoom)
    offset = (corner - shift) * size + centre - back @ (centre, centre)
    return [Drawn("Moved", _moved, {"back": np.column_stack([back, offset])})]


def _moved(hu: np.ndarray, back: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(hu, np.float32)
    moved = np.empty_like(flat)
    for first in range(0, hu.shape[2], SLICES_A_CALL):
        part = np.ascontiguousarray(flat[:, :, first : first + SLICES_A_CALL])
        moved[:, :, first : first + SLICES_A_CALL] = warped(part, back, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return moved


def rescanned(shape: Shape, noise: Noise, rng: np.random.Generator) -> list[Drawn]:
    """By another scanner: attenuation scaled (air stays air), shifted, grainier. (S, S, D) float32."""
    scale, shift, deviation = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.random()
    drawn = []
    if noise.intensity_scale or noise.intensity_shift_hu:
        factor = np.float32(1 + noise.intensity_scale * scale)
        offset = np.float32(AIR_HU + noise.intensity_shift_hu * shift)
        drawn.append(Drawn("Rescaled", _rescaled, {"factor": factor, "offset": offset}))
    if noise.grain_hu and rng.random() < OFTEN:
        drawn.append(Drawn("Grain", grain.grained, grain.drawn(noise.grain_hu * deviation, rng)))
    return drawn


def _rescaled(hu: np.ndarray, factor: np.float32, offset: np.float32) -> np.ndarray:
    found: np.ndarray = (hu - np.float32(AIR_HU)) * factor + offset
    return found


def reread(windows: Sequence[Window], noise: Noise, rng: np.random.Generator) -> Sequence[Window]:
    """By another reader: every window's level moved and width scaled by the same shares."""
    level, width = noise.window_level * rng.uniform(-1, 1), noise.window_width * rng.uniform(-1, 1)
    return windows if level == width == 0 else [window.jittered(level, width) for window in windows]


def holed(shape: Shape, noise: Noise, rng: np.random.Generator) -> list[Drawn]:
    """One rectangle through all channels set to the middle of every window."""
    if noise.cutout == 0 or rng.random() >= OFTEN:
        return []
    size = shape[0]
    height, width = (max(1, round(size * noise.cutout * share)) for share in rng.uniform(0.5, 1, 2))
    top, left = (int(rng.integers(size - side + 1)) for side in (height, width))
    where = (slice(top, top + height), slice(left, left + width))
    return [Drawn("Cutout", _cut, {"hole": where, "fill": 0.5})]


def _cut(image: np.ndarray, hole: tuple[slice, slice], fill: float) -> np.ndarray:
    image[hole] = fill  # made by the windows, and nobody else's
    return image
