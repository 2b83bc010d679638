"""Which patches belong together: one patient, one slide, the same pixels."""

import numpy as np

from data.errors import ChainError, ExitCode
from data.patches.table import PatchTable
from data.splits.config import UnitName

# what a unit is, by code
KINDS = ("patient", "slide", "patch")
PATIENT, SLIDE, PATCH = range(3)


def slides(table: PatchTable) -> np.ndarray:
    """A code per physical slide: (N,) int64, -1 unknown.

    A slide name that occurs under several patients ("slide 1" of everybody) is as many slides.
    """
    slide, patient = table.slide.codes.astype(np.int64), table.patient.codes.astype(np.int64)
    first, last = _patient_range(slide, patient, len(table.slide.names))
    shared = (slide >= 0) & (first[slide] < last[slide])
    codes = slide.copy()
    if shared.any():
        pairs = slide[shared] * (len(table.patient.names) + 1) + patient[shared] + 1
        codes[shared] = len(table.slide.names) + np.unique(pairs, return_inverse=True)[1]
    return codes


def patients(table: PatchTable) -> np.ndarray:
    """A code per patient: (N,) int64 into `table.patient.names`, -1 unknown.

    A patch without a patient belongs to the patient of its slide, if other patches of the slide name exactly one.
    """
    slide, patient = table.slide.codes.astype(np.int64), table.patient.codes.astype(np.int64)
    first, last = _patient_range(slide, patient, len(table.slide.names))
    known = (patient < 0) & (slide >= 0) & (first[slide] == last[slide])
    return np.where(known, first[slide], patient)


def _patient_range(slide: np.ndarray, patient: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    # lowest and highest patient code of every slide; the spare last entry is what index -1 reads
    first, last = np.full(n + 1, np.iinfo(np.int64).max), np.full(n + 1, -1)
    rows = (slide >= 0) & (patient >= 0)
    np.minimum.at(first, slide[rows], patient[rows])
    np.maximum.at(last, slide[rows], patient[rows])
    return first, last


def pixel_groups(table: PatchTable) -> np.ndarray:
    """A code per distinct content: (N,) int64; equal codes are equal shape and pixels."""
    order = np.lexsort((table.pixels[:, 1], table.pixels[:, 0]))
    ordered = table.pixels[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(new) - 1
    return groups


def units(table: PatchTable, unit: UnitName) -> tuple[np.ndarray, np.ndarray]:
    """What is never divided: a code per unit, (N,) int64, and its kind, (N,) int8 into KINDS.

    Raises ChainError (65) when `unit` is forced and some patch does not have it.
    """
    patient, slide = patients(table), slides(table)
    kind = np.where(patient >= 0, PATIENT, np.where(slide >= 0, SLIDE, PATCH)).astype(np.int8)
    if unit == "patch":
        kind[:] = PATCH
    elif unit == "slide":
        kind[:] = np.where(slide >= 0, SLIDE, PATCH)
    if unit in ("patient", "slide"):
        missing = np.flatnonzero(kind != KINDS.index(unit))
        if len(missing):
            row = int(missing[table.ids[missing].argmin()])
            raise ChainError(
                f"splits.unit: {unit}: {len(missing):,} patches have none, the first in source {table.source[row]}",
                "what is never divided must be known of every patch",
                f"give the source a {unit} for every patch, or set splits.unit: auto",
                ExitCode.BAD_DATA,
            )
    within = np.choose(kind, (patient, slide, np.arange(len(table))))
    return np.unique(within * len(KINDS) + kind, return_inverse=True)[1].astype(np.int64), kind


def joined(base: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Units that share pixels become one unit. Both (N,) codes -> (N,) int64 codes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(base):
        return base
    n, m = int(base.max()) + 1, int(groups.max()) + 1
    edges = coo_array((np.ones(len(base), bool), (base, n + groups)), shape=(n + m, n + m))
    component: np.ndarray = connected_components(edges, directed=False)[1]
    codes: np.ndarray = component[base].astype(np.int64)
    return codes
