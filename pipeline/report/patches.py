"""Patches as pictures: by id from a run's store, as people see them, before any stain normalisation."""

import cv2
import numpy as np

from data.images import Images
from data.pixels.network_input import NetworkInput
from data.store.patch_store import PatchStore

SIDE_PX = 112  # of a picture on a page
LOSSLESS_PX = 64  # patches up to this side are shown pixel by pixel
QUALITY = 88


class Pictures:
    """Pictures of one store. Colour patches are RGB, all others grey.

    Of a patch in HU the middle slice is shown, once a window, side by side.
    """

    def __init__(self, store: PatchStore) -> None:
        self.store = store
        self._images = Images(store)

    def png(self, patch_id: int) -> bytes:
        """A patch in its own size as PNG. Raises ChainError: 78 unknown id, 66, 76 and 78 as the store does."""
        return encoded(self.pixels(patch_id), ".png")

    def small(self, patch_id: int) -> tuple[str, bytes]:
        """A patch for a page as (MIME type, bytes): PNG up to 64 px, else JPEG of at most 112 px a slice or side."""
        pixels = self.pixels(patch_id)
        if pixels.shape[0] <= LOSSLESS_PX:
            return "image/png", encoded(pixels, ".png")
        return "image/jpeg", encoded(fitted(pixels, SIDE_PX), ".jpg")

    def pixels(self, patch_id: int) -> np.ndarray:
        """(S, S or S * windows, 1 or 3) uint8 of one patch, RGB where there are three channels."""
        (row,) = self.store.rows(np.array([patch_id], np.uint64))
        return self.of_row(int(row))

    def of_row(self, row: int) -> np.ndarray:
        """`pixels` by row of the store."""
        return seen(self._images.image(row), self._images.kind)


def seen(image: np.ndarray, kind: NetworkInput) -> np.ndarray:
    """What people see of an image (S, S, C) of `data.images`: (S, S', 1 or 3) uint8."""
    if kind.windows:
        image = np.hstack([image[:, :, w * kind.depth + kind.depth // 2, None] for w in range(len(kind.windows))])
    return image if image.dtype == np.uint8 else np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def fitted(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """Shrunk by area so that it is at most side_px high; never enlarged."""
    height, width, channels = pixels.shape
    if height <= side_px:
        return pixels
    size = (max(1, round(width * side_px / height)), side_px)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)).reshape(side_px, size[0], channels)


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    """A file of (H, W, 1 or 3) uint8, RGB. suffix: .png or .jpg."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 6] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    ordered = pixels[:, :, ::-1] if pixels.shape[2] == 3 else pixels
    done, file = cv2.imencode(suffix, np.ascontiguousarray(ordered), options)
    assert done, suffix
    return bytes(file)
