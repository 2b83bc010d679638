"""Voxels with their place in the world into a `Volume`: as they are, or laid onto an axial grid."""

from collections.abc import Collection

import numpy as np

from data.volumes import regrid
from data.volumes.reasons import Reason, VolumeError
from data.volumes.volume import Volume


def placed(
    shown: str,
    hu: np.ndarray,
    affine: np.ndarray,
    origin_mm: np.ndarray,
    problems: Collection[Reason],
    notes: tuple[str, ...],
) -> Volume:
    """hu: (Z, Y, X) int16; affine: (3, 3) one step along x, y, z in mm; problems: those accepted.

    Raises VolumeError (too_large).
    """
    if not {Reason.GANTRY_TILT, Reason.OBLIQUE} & set(problems):
        spacing = np.linalg.norm(affine, axis=0)
        return Volume(hu, _three(spacing), origin_mm, affine / spacing, notes)
    regular = regrid.axial(hu, affine, origin_mm)
    if regular is None:
        raise VolumeError(shown, [Reason.TOO_LARGE], "on an axial grid it has too many voxels")
    values, spacing, origin = regular
    return Volume(values, _three(spacing), origin, np.eye(3), notes)


def _three(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
