"""A drawn chest in Hounsfield units: body, lungs, bones, table, and in the lungs candidates of three classes.

The classes differ by shape alone: their density, size and number of pixels overlap on purpose, and thin vessels run
everywhere. Lengths are millimetres in the volume's own frame, (0, 0, 0) being the centre of its first voxel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.ndimage import gaussian_filter

Finding = Literal["solid", "spiculated", "vessel"]
FINDINGS: tuple[Finding, ...] = get_args(Finding)

_AIR, _LUNG, _FAT, _MUSCLE, _BONE = -1000, -850, -100, 40, 700
_APART_MM = 27.0
_CLEAR_OF_WALL_MM = 13.0
_REACH_MM = 22.0  # no candidate reaches farther from its point

Inside = Callable[[np.ndarray], np.ndarray]  # places (..., 3) x, y, z -> how far inside in mm, negative outside


@dataclass(frozen=True, slots=True)
class Chest:
    """hu: (Z, Y, X) int16; spacing_mm: x, y, z; points_mm: (N, 3) x, y, z; findings: the N classes."""

    hu: np.ndarray
    spacing_mm: tuple[float, float, float]
    points_mm: np.ndarray
    findings: tuple[Finding, ...]


def draw_chest(
    rng: np.random.Generator, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], candidates: int
) -> Chest:
    """A chest of `shape` (Z, Y, X) with at most `candidates` findings; classes take turns.

    The body has the width of a small adult's (240 mm), whatever the field of view.
    """
    z, y, x = (np.arange(n) * step for n, step in zip(shape, spacing_mm[::-1], strict=True))
    place = np.stack(np.broadcast_arrays(x, y[:, None], z[:, None, None]), axis=-1).astype(np.float32)
    middle = np.array([x[-1], y[-1], z[-1]]) / 2
    hu = np.full(shape, _AIR, np.float32)
    lungs = _body(rng, hu, place, middle)
    _clutter(rng, hu, place, lungs)
    points = _scattered(rng, place, lungs, candidates)
    findings = tuple(FINDINGS[i % len(FINDINGS)] for i in range(len(points)))
    for point, finding in zip(points, findings, strict=True):
        _paint(hu, place, point, _REACH_MM, _DRAW[finding](rng, point), float(rng.uniform(-60, 110)))
    return Chest(_scanned(rng, hu), spacing_mm, points, findings)


def _body(rng: np.random.Generator, hu: np.ndarray, place: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Draw everything but findings; returns how far inside the lungs each voxel lies (mm, negative outside)."""
    half = np.array([120, 88]) * rng.uniform(0.93, 1.03)
    flat = place[..., :2] - middle[:2]
    skin = _within(flat, half)
    hu[skin > 0] = _FAT
    hu[skin > rng.uniform(6, 14)] = _MUSCLE
    lungs = np.full(hu.shape, -np.inf, np.float32)
    for side in (-1, 1):
        centre = middle + np.array([side * 52, rng.uniform(-6, 2), rng.uniform(-6, 6)])
        lung = _within(place - centre, np.array([41, 61, 95]) * rng.uniform(0.94, 1.02))
        np.maximum(lungs, lung, out=lungs)
    hu[lungs > 0] = _LUNG + rng.normal(0, 25)
    spine = np.linalg.norm(flat - np.array([0, half[1] * 0.66]), axis=-1)
    hu[spine < 15] = _BONE * 0.5
    hu[(spine < 15) & (spine > 12)] = _BONE
    _ribs(rng, hu, place, flat, half)
    hu[(np.abs(flat[..., 1] - half[1] - 12) < 4) & (np.abs(flat[..., 0]) < 110)] = -300  # the table, off the back
    return lungs


def _ribs(rng: np.random.Generator, hu: np.ndarray, place: np.ndarray, flat: np.ndarray, half: np.ndarray) -> None:
    around = np.arctan2(flat[..., 1], flat[..., 0])
    ring = np.abs(_within(flat, half) - 13)
    # ribs slope down to the front, so that each slice shows a row of them
    phase = place[..., 2] / 24 + 0.8 * np.sin(around) + rng.uniform(0, 1)
    hu[(ring < 3.5) & (np.abs(phase % 1 - 0.5) < 0.17) & (np.abs(np.cos(around)) > 0.25)] = _BONE


def _within(offset: np.ndarray, half: np.ndarray) -> np.ndarray:
    """About how many mm inside the ellipsoid of half-axes `half` (K,) each offset (..., K) lies."""
    return np.asarray((1 - np.linalg.norm(offset / half, axis=-1)) * half.min(), dtype=np.float32)


def _clutter(rng: np.random.Generator, hu: np.ndarray, place: np.ndarray, lungs: np.ndarray) -> None:
    """Thin vessels all over the lungs, in all directions."""
    inside = place[lungs > 4]
    for start in rng.permutation(inside)[:90]:
        line = _capsule(start, start + _direction(rng) * rng.uniform(8, 18), rng.uniform(0.5, 1.2), 0.3)
        _paint(hu, place, start, 20, line, float(rng.uniform(-400, 0)))


def _scattered(rng: np.random.Generator, place: np.ndarray, lungs: np.ndarray, count: int) -> np.ndarray:
    """(N, 3) points well inside the lungs and the volume, apart from each other; N <= count when there is no room."""
    last = place[-1, -1, -1]
    deep = (lungs > _CLEAR_OF_WALL_MM) & ((place > 6) & (place < last - 6)).all(axis=-1)
    chosen: list[np.ndarray] = []
    for voxel in rng.permutation(place[deep]):
        if all(np.linalg.norm(voxel - other) > _APART_MM for other in chosen):
            chosen.append(voxel + rng.uniform(-1, 1, 3))  # between voxels, as points in millimetres are
            if len(chosen) == count:
                break
    return np.round(np.array(chosen).reshape(-1, 3), 2)


def _paint(hu: np.ndarray, place: np.ndarray, about: np.ndarray, reach_mm: float, inside: Inside, value: float) -> None:
    """Draw a shape of `value` HU within `reach_mm` of `about`; its edge is as wide as a voxel, as a scanner's is."""
    step = place[-1, -1, -1] / np.maximum(np.array(hu.shape[::-1]) - 1, 1)
    low = np.maximum(((about - reach_mm) / step).astype(int), 0)
    high = np.minimum(((about + reach_mm) / step).astype(int) + 2, hu.shape[::-1])
    box = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
    cover = np.clip(0.5 + inside(place[box]) / float(step.mean()), 0, 1)
    part = hu[box]
    np.copyto(part, np.maximum(part, part + cover * (value - part)))


def _solid(rng: np.random.Generator, centre: np.ndarray) -> Inside:
    """Round and smooth, at most a little longer one way."""
    half = rng.uniform(4.5, 8.5) * rng.uniform(0.88, 1.14, 3)
    return lambda place: _within(place - centre, half)


def _spiculated(rng: np.random.Generator, centre: np.ndarray) -> Inside:
    """A smaller core with spikes in all directions, most of them near the plane of a slice."""
    core = _core(rng, centre)
    ends = np.array([_direction(rng, flat=0.5) for _ in range(int(rng.integers(8, 13)))]) * rng.uniform(11, 17)
    spikes = [_capsule(centre, centre + end * rng.uniform(0.8, 1.1), rng.uniform(1.8, 2.8), 0.4) for end in ends]
    return _any_of([core, *spikes])


def _core(rng: np.random.Generator, centre: np.ndarray) -> Inside:
    half = rng.uniform(3.5, 6.0) * rng.uniform(0.8, 1.2, 3)
    return lambda place: _within(place - centre, half)


def _vessel(rng: np.random.Generator, centre: np.ndarray) -> Inside:
    """A tube through the point, bent, in half of all cases with a branch: what is often taken for a nodule."""
    along, aside = _direction(rng, flat=0.4), _direction(rng, flat=0.4)
    radius = rng.uniform(2.6, 4.6)
    reach = rng.uniform(15, 20)
    parts = [
        _capsule(centre, centre + (along + 0.3 * aside) * reach, radius, radius * 0.7),
        _capsule(centre, centre - (along - 0.3 * aside) * reach, radius, radius),
    ]
    if rng.random() < 0.5:
        parts.append(_capsule(centre, centre + (0.6 * along - 0.8 * aside) * reach, radius * 0.8, radius * 0.5))
    return _any_of(parts)


def _any_of(parts: list[Inside]) -> Inside:
    return lambda place: np.stack([part(place) for part in parts]).max(axis=0)


def _capsule(start: np.ndarray, end: np.ndarray, wide: float, narrow: float) -> Inside:
    """A rod from `start`, `wide` mm in radius, to `end`, `narrow` there."""
    axis = end - start

    def inside(place: np.ndarray) -> np.ndarray:
        at = np.clip((place - start) @ axis / (axis @ axis), 0, 1)
        away = np.linalg.norm(place - start - at[..., None] * axis, axis=-1)
        return np.asarray(wide + (narrow - wide) * at - away)

    return inside


def _direction(rng: np.random.Generator, flat: float = 1.0) -> np.ndarray:
    """A unit vector; `flat` below 1 brings it nearer to the plane of a slice."""
    vector = rng.normal(0, 1, 3) * (1, 1, flat)
    return np.asarray(vector / np.linalg.norm(vector))


def _scanned(rng: np.random.Generator, hu: np.ndarray) -> np.ndarray:
    """The scanner's own: blur within a slice and grainy noise; int16."""
    noise = rng.normal(0, 1, hu.shape).astype(np.float32)
    noise = gaussian_filter(noise, (0, 0.6, 0.6)) * rng.uniform(40, 80)
    sharp = gaussian_filter(hu, (0, 0.45, 0.45))
    whole: np.ndarray = np.clip(np.rint(sharp + noise), -1024, 3000)
    return whole.astype(np.int16)


_DRAW: dict[Finding, Callable[[np.random.Generator, np.ndarray], Inside]] = {
    "solid": _solid,
    "spiculated": _spiculated,
    "vessel": _vessel,
}
