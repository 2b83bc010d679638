"""Where the patches of a slide, or of a CT series, lie: from the numbers of the store."""

from dataclasses import dataclass

import numpy as np

from data.patches.table import PatchTable
from data.splits.units import slides
from data.store.patch_store import PatchStore

SLIDE, VOLUME = "slide", "volume"


@dataclass(frozen=True)
class Places:
    """Patches with a place, K of them, grouped by slide. kind: slide (level-0 pixels) or volume (mm, foot to head).

    row: (K,) of the store; slide: (K,) codes of `data.splits.units.slides`; x, y: (K,) left and upper edge; z: (K,)
    height of the middle slice, 0 on slides; side: (K,) of the square. exact: the store says the side; else it is the
    least step between two patches of the slide, which is too little where the grid overlaps.
    """

    kind: str
    row: np.ndarray
    slide: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    side: np.ndarray
    exact: bool

    def of(self, slide: int) -> np.ndarray:
        """Rows of these arrays that lie on one slide."""
        low, high = np.searchsorted(self.slide, [slide, slide + 1])
        return np.arange(low, high)


def places(store: PatchStore, table: PatchTable) -> Places | None:
    """None where no patch has both a slide and a place."""
    numbers, code = store.numbers, slides(table)
    for kind, names in ((SLIDE, ("x_px", "y_px")), (VOLUME, ("x_mm", "y_mm", "z_mm", "spacing_mm"))):
        if not all(name in numbers for name in names):
            continue
        known = (code >= 0) & np.all([np.isfinite(numbers[name]) for name in names], axis=0)
        rows = np.flatnonzero(known)
        rows = rows[np.argsort(code[rows], kind="stable")]
        if not len(rows):
            continue
        x, y = (np.asarray(numbers[name])[rows] for name in names[:2])
        if kind == VOLUME:
            z, spacing = (np.asarray(numbers[name])[rows] for name in names[2:])
            side = store.size_px * spacing
            return Places(kind, rows, code[rows], x - side / 2, y - side / 2, z, side, True)
        exact = "side_px" in numbers and bool(np.isfinite(numbers["side_px"][rows]).all())
        side = np.asarray(numbers["side_px"])[rows] if exact else _steps(code[rows], x, y)
        return Places(kind, rows, code[rows], x, y, np.zeros(len(rows)), side, exact)
    return None


def _steps(slide: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The least positive step along x or y between patches of each slide, (K,); slide ascending."""
    starts = np.flatnonzero(np.r_[True, slide[1:] != slide[:-1]])
    found = np.empty(len(slide))
    for start, stop in zip(starts, [*starts[1:], len(slide)], strict=True):
        steps = [np.diff(np.unique(values[start:stop])) for values in (x, y)]
        every = np.concatenate(steps)
        found[start:stop] = every.min() if len(every) else 1.0
    return found
