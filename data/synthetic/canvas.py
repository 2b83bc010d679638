"""What tissues are drawn on: two dye planes, and the few marks every tissue is made of.

Lengths are micrometres. The patch's size sets the resolution, not the field of view: a patch of 96 px
shows the same tissue as one of 48 px, finer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

_SHIFT = 4  # OpenCV takes polygon corners in fixed point: 4 fractional bits
_CORNERS = 12
_TURN = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
_COS, _SIN = np.cos(_TURN), np.sin(_TURN)
# a dent is a sum of slow waves around the outline: two, three and four lobes, each in two phases
_DENTS = np.concatenate([[np.cos(lobes * _TURN), np.sin(lobes * _TURN)] for lobes in (2, 3, 4)])


@dataclass(frozen=True, slots=True)
class Canvas:
    """Two dye planes (S, S) uint8, 0 (no dye) to 255, of a square field; marks are drawn into them in place."""

    haematoxylin: np.ndarray
    eosin: np.ndarray
    field_um: float

    @classmethod
    def blank(cls, size_px: int, field_um: float) -> "Canvas":
        """No dye anywhere."""
        return cls(np.zeros((size_px, size_px), np.uint8), np.zeros((size_px, size_px), np.uint8), field_um)

    @property
    def size_px(self) -> int:
        """The side S."""
        return len(self.eosin)

    @property
    def px_per_um(self) -> float:
        """Resolution of this canvas."""
        return self.size_px / self.field_um


def smooth_noise(rng: np.random.Generator, size_px: int, cells: int) -> np.ndarray:
    """(S, S) float32 in about [0, 1], without structure finer than one of `cells` along a side."""
    coarse = rng.random((cells, cells), dtype=np.float32)
    finer = cells < size_px
    return np.asarray(
        cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC if finer else cv2.INTER_AREA)
    )


def wash(plane: np.ndarray, low: float, high: float, noise: np.ndarray) -> None:
    """Fill `plane` (S, S) with dye between `low` and `high` (0..1), following `noise` (S, S) in [0, 1]."""
    np.copyto(plane, np.clip(255 * (low + (high - low) * noise), 0, 255), casting="unsafe")


def scattered(rng: np.random.Generator, field_um: float, spacing_um: float, jitter: float = 0.35) -> np.ndarray:
    """(N, 2) places in um that fill the field evenly, about `spacing_um` apart, in random order."""
    reach = field_um * 0.75
    steps = np.arange(-reach, reach + spacing_um, spacing_um)
    x, y = np.meshgrid(steps, steps * 0.866)
    x[1::2] += spacing_um / 2
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    places += rng.normal(0, jitter * spacing_um / 2, places.shape) + rng.uniform(-0.5, 0.5, 2) * spacing_um
    turned = places @ rotation(rng.uniform(0, np.pi)) + field_um / 2
    inside = turned[(turned > -5).all(axis=1) & (turned < field_um + 5).all(axis=1)]
    return rng.permutation(inside)


def rotation(angle: float) -> np.ndarray:
    """(2, 2) matrix that turns row vectors by `angle` in radians."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def outlines(
    rng: np.random.Generator,
    centre_um: np.ndarray,
    radius_um: np.ndarray | float,
    aspect: np.ndarray | float = 1.0,
    angle: np.ndarray | float = 0.0,
    roughness: float = 0.05,
) -> np.ndarray:
    """(N, K, 2) closed outlines in um around `centre_um` (N, 2).

    `radius_um`, `aspect` (long axis over short axis, area kept) and `angle` (of the long axis, radians) are (N,)
    or one number; `roughness` is the relative depth of dents.
    """
    n = len(centre_um)
    reach = np.clip(1 + rng.normal(0, roughness, (n, len(_DENTS))) @ _DENTS, 0.4, 1.8) * np.reshape(radius_um, (-1, 1))
    stretch = np.sqrt(np.reshape(aspect, (-1, 1)))
    x, y = reach * _COS * stretch, reach * _SIN / stretch
    turn = np.reshape(angle, (-1, 1))
    cos, sin = np.cos(turn), np.sin(turn)
    outline = np.empty((n, _CORNERS, 2))
    outline[:, :, 0] = x * cos - y * sin + centre_um[:, :1]
    outline[:, :, 1] = x * sin + y * cos + centre_um[:, 1:]
    return outline


def fixed_point(points_um: np.ndarray, px_per_um: float) -> np.ndarray:
    """`points_um` in the fixed-point pixels OpenCV draws in, int32."""
    return np.rint((points_um * px_per_um - 0.5) * (1 << _SHIFT)).astype(np.int32)


def fill(plane: np.ndarray, outline_um: np.ndarray, dye: Sequence[float] | np.ndarray, px_per_um: float) -> None:
    """Fill every outline (N, K, 2) with its dye (N,) in 0..1; later ones cover earlier ones."""
    values = (np.clip(dye, 0, 1) * 255).astype(int).tolist()
    for points, value in zip(fixed_point(outline_um, px_per_um), values, strict=True):
        cv2.fillPoly(plane, [points], value, cv2.LINE_AA, _SHIFT)


def trace(
    plane: np.ndarray,
    line_um: np.ndarray,
    dye: Sequence[float] | np.ndarray,
    width_um: float,
    px_per_um: float,
    closed: bool = False,
) -> None:
    """Draw every line (N, K, 2) with its dye (N,) in 0..1, `width_um` wide (never thinner than a pixel)."""
    values = (np.clip(dye, 0, 1) * 255).astype(int).tolist()
    width = max(1, round(width_um * px_per_um))
    for points, value in zip(fixed_point(line_um, px_per_um), values, strict=True):
        cv2.polylines(plane, [points], closed, value, width, cv2.LINE_AA, _SHIFT)
