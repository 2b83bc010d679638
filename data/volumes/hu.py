"""Measured values to whole Hounsfield units, and whether values look like Hounsfield units at all."""

from collections.abc import Collection

import numpy as np

from data.volumes.reasons import Reason
from data.volumes.volume import AIR_HU

LOWEST, HIGHEST = np.iinfo(np.int16).min, np.iinfo(np.int16).max
# a field of view is round and its corners are air, and any crop that holds lung or skin does too
AIR_BELOW_HU = -200
TISSUE_ABOVE_HU = -500
# no tissue and no air: scanners write -2000 or -3024 where they measured nothing, also beside values that are no HU
NOT_MEASURED_HU = -1500


def whole_hu(values: np.ndarray, accept: Collection[Reason]) -> tuple[np.ndarray, dict[Reason, str]]:
    """Values of any type and shape as int16, rounded half to even; and the problems there were.

    What is not accepted is in the problems, too: the caller refuses.
    """
    problems: dict[Reason, str] = {}
    if values.dtype == np.int16:
        return values, problems
    if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
        problems[Reason.NON_FINITE] = f"{int((~finite).sum()):,} of its voxels are no number"
        values = np.where(finite, values, AIR_HU)
    low, high = float(values.min()), float(values.max())
    if low < LOWEST - 0.5 or high > HIGHEST + 0.5:
        problems[Reason.OUT_OF_RANGE] = "some of its values lie outside of what 16 bits hold"
    if set(problems) <= set(accept):
        if values.dtype.kind == "f":
            values = np.rint(values)
        values = np.clip(values, LOWEST, HIGHEST).astype(np.int16)
    return values, problems


def implausible(hu: np.ndarray) -> dict[Reason, str]:
    """`not_hu` when the values have no air, or nothing but air: a file format does not say what its values are."""
    measured = hu > NOT_MEASURED_HU
    low = int(hu.min(where=measured, initial=HIGHEST)) if measured.any() else int(hu.min())
    high = int(hu.max())
    if low > AIR_BELOW_HU:
        why = f"its values do not look like HU: the least is {low}, and there is no air in it"
        return {Reason.NOT_HU: why}
    if high < TISSUE_ABOVE_HU:
        return {Reason.NOT_HU: f"its values do not look like HU: the greatest is {high}, and there is no tissue in it"}
    return {}
