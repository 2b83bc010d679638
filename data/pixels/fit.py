"""Make a decoded patch fit its store, or say what would."""

import cv2
import numpy as np

from data.pixels.bad_patch import BadPatch
from data.pixels.modes import Mode

SOME_CHANNELS, CHANNELS_AT_ONCE = 4, 128  # of one call of OpenCV


def check_mode(found: Mode, wanted: Mode) -> None:
    """Raise BadPatch, with the remedy, when a patch is made of other pixels than the store."""
    if found != wanted:
        raise BadPatch(f"{found} pixels, the store holds {wanted}: convert the file, or set data.mode: {found}")


def check_depth(pixels: np.ndarray, mode: Mode, depth: int) -> None:
    """Raise BadPatch, with the remedy, when a patch in HU has other than `depth` slices. pixels: (H, W, D)."""
    if mode == "hu16" and pixels.shape[2] != depth:
        raise BadPatch(f"{pixels.shape[2]} slices, the store holds {depth}: set data.depth: {pixels.shape[2]}")


def to_size(pixels: np.ndarray, size_px: int, resize: bool) -> np.ndarray:
    """(H, W, C) as (size_px, size_px, C), same dtype: by area when shrinking, bilinear when growing.

    Raises BadPatch, with the remedy, when the size differs and `resize` is off, or the patch is not square.
    """
    height, width, channels = pixels.shape
    if height == width == size_px:
        return pixels
    if height != width:
        raise BadPatch(f"{width} x {height} px is not square: cut it to a square")
    if not resize:
        raise BadPatch(
            f"{width} x {height} px, the store holds {size_px}: set data.resize: true, or data.size_px: {width}"
        )
    how = cv2.INTER_AREA if size_px < width else cv2.INTER_LINEAR
    # many channels at once OpenCV averages by whole factors alone, and of more than these it takes none
    at_once = CHANNELS_AT_ONCE if size_px > width or width % size_px == 0 else SOME_CHANNELS
    resized = [
        cv2.resize(part, (size_px, size_px), interpolation=how).reshape(size_px, size_px, -1)
        for part in (np.ascontiguousarray(pixels[:, :, at : at + at_once]) for at in range(0, channels, at_once))
    ]
    return np.concatenate(resized, axis=2) if len(resized) > 1 else resized[0]
