"""Stain normalisation after Macenko et al., "A method for normalizing histology slides" (ISBI 2009).

Two stains span a plane in optical density. The plane is that of the two largest principal components of the stained
pixels, the stains are its extreme directions, and how strongly a slide took each is the 99th percentile of its
concentration. A patch is normalised by unmixing it with its own slide's stains and mixing it again with the target's,
which is one 3 x 3 matrix on optical densities; what lies outside the plane is dropped, as in the paper.
Near-white tissue has too few stained pixels to say anything: it gives no fit, never a wild one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.augment.stain import DENSITY_OF, restained

GLASS = 0.15  # a pixel below this optical density in any channel is glass (beta)
EXTREME = 1.0  # percentile of the angles that is taken for a stain's direction (alpha)
STRONG = 99.0  # percentile of the concentrations that is taken for a stain's strength
MIN_PIXELS = 500  # stained pixels below which a fit says nothing
MIN_ANGLE_DEG = 5.0  # directions closer than this are one stain: unmixing them would only amplify noise
MIN_TOP = 0.05  # a stain fainter than this is not there
PATCH_PIXELS = 4096  # looked at of one patch: more change no percentile


@dataclass(frozen=True)
class Stains:
    """How a slide was stained.

    directions: two rows, the RGB optical density of haematoxylin and eosin (the redder one first absorbs more red),
    each of length 1; tops: the 99th percentile of either's concentration.
    """

    directions: tuple[tuple[float, float, float], tuple[float, float, float]]
    tops: tuple[float, float]

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {"directions": [list(row) for row in self.directions], "tops": list(self.tops)}

    @staticmethod
    def of(plain: dict[str, Any]) -> "Stains":
        """From what `plain` gave."""
        first, second = (tuple(float(value) for value in row) for row in plain["directions"])
        haematoxylin, eosin = plain["tops"]
        return Stains((first, second), (float(haematoxylin), float(eosin)))  # type: ignore[arg-type]


def stained_pixels(image: np.ndarray) -> np.ndarray:
    """Optical densities (N, 3) float32 of the stained pixels among at most PATCH_PIXELS, evenly taken.

    image: (H, W, 3) uint8 RGB. Glass is left out.
    """
    flat = image.reshape(-1, 3)
    some = flat[:: -(-len(flat) // PATCH_PIXELS)]
    density: np.ndarray = DENSITY_OF[some]
    return density[(density >= GLASS).all(axis=1)]


def fit(densities: Iterable[np.ndarray]) -> Stains | None:
    """The stains of a slide, or of many, from optical densities (N, 3) of its stained pixels, several arrays of them.

    None when there are fewer than MIN_PIXELS of them, or they hold one stain only.
    """
    parts = [part for part in densities if len(part)]
    pixels = np.concatenate(parts).astype(np.float64) if parts else np.empty((0, 3))
    if len(pixels) < MIN_PIXELS:
        return None
    _, vectors = np.linalg.eigh(np.cov(pixels.T))
    plane = vectors[:, [2, 1]]  # eigh: by rising eigenvalue
    plane[:, 0] *= 1 if plane[:, 0].sum() >= 0 else -1  # the sign of an eigenvector is chance; densities are positive
    plane[:, 1] *= 1 if plane[0, 1] >= 0 else -1
    angles = np.arctan2(*(pixels @ plane).T[::-1])
    low, high = np.percentile(angles, [EXTREME, 100 - EXTREME])
    if np.degrees(high - low) < MIN_ANGLE_DEG:
        return None
    rows = np.stack([plane @ (np.cos(angle), np.sin(angle)) for angle in (low, high)])
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]  # haematoxylin absorbs more red
    tops = np.percentile(pixels @ np.linalg.pinv(rows), STRONG, axis=0)
    if not np.isfinite(rows).all() or (rows < -0.2).any() or tops.min() < MIN_TOP:
        return None
    return Stains.of({"directions": rows.tolist(), "tops": tops.tolist()})


def transfer(source: Stains, target: Stains) -> np.ndarray:
    """(3, 3): optical densities @ it are those of the same tissue stained as the target was."""
    strength = np.array(target.tops) / np.array(source.tops)
    matrix: np.ndarray = np.linalg.pinv(np.array(source.directions)) @ (strength[:, None] * np.array(target.directions))
    return matrix


def normalised(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A patch with a `transfer` applied. image: (H, W, 3) uint8 RGB; white stays white. Same shape and type."""
    return restained(image, matrix, np.zeros(3))
