"""A volume at a glance: axial slices through it with the patches drawn on. Pixels and frames only, no text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import simplejpeg

from data.volumes.lattice import Lattice
from data.volumes.sampling import Sampler
from data.volumes.volume import Volume

CELL_PX, ACROSS, DOWN = 240, 4, 3
LOW_HU, HIGH_HU = -1000.0, 500.0  # wide enough for lungs, organs and bone at once
QUALITY = 85
UNLABELLED = (90, 220, 90)
COLOURS = ((255, 80, 80), (90, 160, 255), (255, 200, 60), (200, 110, 255), (60, 220, 220), (255, 140, 200))


class Mark(NamedTuple):
    """A patch on the montage. centre_mm: (3,) in the volume's frame."""

    centre_mm: np.ndarray
    label: str


def montage(volume: Volume, marks: Sequence[Mark], side_mm: float, labels: Sequence[str]) -> bytes:
    """A JPEG of up to 12 slices, foot to head, each with the patches nearest to it; a function of its arguments.

    labels: those there may be; the place of one here makes the colour of its patches.
    """
    colours = {"": UNLABELLED, **{label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}}
    heights = np.array([mark.centre_mm[2] for mark in marks])
    step = volume.spacing_mm[2]
    slices = _spread(np.unique(np.clip(np.rint(heights / step), 0, volume.hu.shape[0] - 1)), ACROSS * DOWN) * step
    extent = np.array(volume.hu.shape[:0:-1]) * volume.spacing_mm[:2]
    scale = float(extent.max()) / CELL_PX
    # half a voxel before the first centre is where the picture begins
    middle = (extent - volume.spacing_mm[:2]) / 2
    sampler = Sampler(volume.hu, volume.spacing_mm, Lattice(CELL_PX, 1, scale, None), smooth=False)
    nearest = np.abs(heights[:, None] - slices).argmin(axis=1)
    rows = -(-len(slices) // ACROSS)
    sheet = np.zeros((rows * CELL_PX, min(ACROSS, len(slices)) * CELL_PX, 3), np.uint8)
    for cell, height in enumerate(slices):
        picture = _grey(sampler.patch(np.array([*middle, height]))[0])
        for mark, at in zip(marks, nearest, strict=True):
            if at == cell:
                _frame(picture, mark.centre_mm[:2] - middle, colours[mark.label], scale, side_mm)
        y, x = divmod(cell, ACROSS)
        sheet[y * CELL_PX : (y + 1) * CELL_PX, x * CELL_PX : (x + 1) * CELL_PX] = picture
    encoded: bytes = simplejpeg.encode_jpeg(sheet, QUALITY, colorspace="RGB", colorsubsampling="444")
    return encoded


def _spread(values: np.ndarray, at_most: int) -> np.ndarray:
    if len(values) <= at_most:
        return values
    picked: np.ndarray = values[np.rint(np.linspace(0, len(values) - 1, at_most)).astype(int)]
    return picked


def _grey(hu: np.ndarray) -> np.ndarray:
    level = np.clip((hu[:, :, 0] - LOW_HU) / (HIGH_HU - LOW_HU), 0, 1)
    return np.repeat(np.rint(level * 255).astype(np.uint8)[:, :, None], 3, axis=2)


def _frame(picture: np.ndarray, at_mm: np.ndarray, colour: tuple[int, int, int], scale: float, side_mm: float) -> None:
    half = side_mm / 2
    low, high = (
        np.clip(np.rint((at_mm + sign * half) / scale + CELL_PX / 2), 0, CELL_PX - 1).astype(int) for sign in (-1, 1)
    )
    if (high - low > 4).all():
        low, high = low + 1, high - 1  # inside its border, so that neighbours do not paint over each other
    picture[[low[1], high[1]], low[0] : high[0] + 1] = colour
    picture[low[1] : high[1] + 1, [low[0], high[0]]] = colour
