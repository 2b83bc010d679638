"""Slices into a stack: their order by position, and what is wrong with their places. Pure functions of numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.volumes.reasons import Reason

SAME_PLACE_MM = 0.01
# positions are written rounded, some to a tenth of a millimetre
UNEVEN_SHARE, UNEVEN_MM = 0.02, 0.06
TILT_DEG = 0.5
OBLIQUE_DEG = 1.0
OFF_LINE_MM = 0.5
DIRECTION_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Stack:
    """order: (N,) the slices given, sorted along their normal. along_mm: (N,) their places on it, ascending from 0.

    affine: (3, 3) columns in world mm: one pixel along a row, one along a column, one mm along the normal. The last
    is longer than 1 and not at a right angle to the others where the gantry was tilted. origin_mm: (3,) of the first
    slice. step_mm: the regular distance. even: whether every slice lies where the regular distance puts it.
    problems: what the user must accept.
    """

    order: np.ndarray
    along_mm: np.ndarray
    affine: np.ndarray
    origin_mm: np.ndarray
    step_mm: float
    even: bool
    problems: Mapping[Reason, str]


def stacked(
    position_mm: np.ndarray, orientation: np.ndarray, pixel_mm: np.ndarray, thickness_mm: float | None
) -> Stack | Reason:
    """position_mm: (N, 3), orientation: (N, 6) rows then columns, pixel_mm: (N, 2) y, x.

    Returns a reason when no stack can be made of them at all.
    """
    if (pixel_mm <= 0).any():
        return Reason.NO_GEOMETRY
    row, column = np.median(orientation, 0).reshape(2, 3)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 0.01 or abs(row @ column) > 0.01:
        return Reason.NO_GEOMETRY
    if np.abs(orientation - np.concatenate([row, column])).max() > 10 * DIRECTION_TOLERANCE:
        return Reason.INCONSISTENT_ORIENTATION
    spacing = np.median(pixel_mm, 0)
    if np.abs(pixel_mm / spacing - 1).max() > DIRECTION_TOLERANCE:
        return Reason.INCONSISTENT_SPACING
    row, column = row / lengths[0], column / lengths[1]
    normal = np.cross(row, column)
    depth = position_mm @ normal
    # what is equal in depth stays in the order of the whole position, so that the result does not depend on names
    order = np.lexsort((*position_mm.T, np.rint(depth / SAME_PLACE_MM)))
    along, places = depth[order] - depth[order[0]], position_mm[order]
    single = along[-1] < SAME_PLACE_MM
    if single and not thickness_mm:
        return Reason.NO_GEOMETRY
    step = normal if single else (places[-1] - places[0]) / along[-1]
    if np.linalg.norm(places - places[0] - along[:, None] * step, axis=1).max() > OFF_LINE_MM:
        return Reason.NOT_IN_LINE
    regular, wrong = (
        (float(thickness_mm or 0), {}) if single else _spacing(unique_mm(along), float(np.linalg.norm(step)))
    )
    problems = {**_direction(row, column, step), **wrong}
    affine = np.column_stack([row * spacing[1], column * spacing[0], step])
    return Stack(order, along, affine, places[0], regular, not wrong, problems)


def unique_mm(along_mm: np.ndarray) -> np.ndarray:
    """Places (ascending) without those that repeat the one before."""
    once: np.ndarray = along_mm[np.concatenate([[True], np.diff(along_mm) > SAME_PLACE_MM])]
    return once


def _spacing(along: np.ndarray, stretch: float) -> tuple[float, dict[Reason, str]]:
    """The regular distance, and what is wrong with it: slices missing, or no regularity at all.

    stretch: how much farther positions lie apart than slices do, where the gantry was tilted; what is said is in
    distances of positions, as the files have them.
    """
    gaps = np.diff(along)
    step = float(np.median(gaps))
    number = np.concatenate([[0], np.cumsum(np.maximum(1, np.rint(gaps / step)))])
    # the best regular grid through all places: rounded positions do not add up to a drift
    fitted, start = np.polyfit(number, along, 1) if len(along) > 2 else (step, 0.0)
    if np.abs(along - start - number * fitted).max() > max(UNEVEN_SHARE * fitted, UNEVEN_MM):
        why = "its slices lie {:.2f} to {:.2f} mm apart, {:.2f} mm in the middle".format(
            *(value * stretch for value in (gaps.min(), gaps.max(), step))
        )
        return step, {Reason.UNEVEN_SPACING: why}
    missing = int(number[-1]) + 1 - len(along)
    if not missing:
        return float(fitted), {}
    return float(fitted), {
        Reason.MISSING_SLICES: f"{missing} of {int(number[-1]) + 1} slices are missing between others"
    }


def _direction(row: np.ndarray, column: np.ndarray, step: np.ndarray) -> dict[Reason, str]:
    along = step / np.linalg.norm(step)
    normal = np.cross(row, column)
    tilt = np.degrees(np.arccos(np.clip(along @ normal, -1, 1)))
    if tilt > TILT_DEG:
        why = f"its slices are tilted by {tilt:.1f} degrees against the direction in which they are stacked"
        return {Reason.GANTRY_TILT: why}
    return oblique(np.column_stack([row, column, normal]))


def oblique(direction: np.ndarray) -> dict[Reason, str]:
    """What is wrong with a (3, 3) direction, its columns of any length, when one is off the nearest world axis."""
    # MetaImage may hold columns that are no unit vectors
    along = np.abs(direction / np.linalg.norm(direction, axis=0)).max(0)
    off = float(np.degrees(np.arccos(np.clip(along, -1, 1))).max())
    if off <= OBLIQUE_DEG:
        return {}
    return {Reason.OBLIQUE: f"its axes are up to {off:.1f} degrees off the axes of the patient"}
