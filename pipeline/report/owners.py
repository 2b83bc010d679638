"""Whose patches are: slides, patients and sites, with their names."""

from dataclasses import dataclass

import numpy as np

from data.patches.table import PatchTable
from data.splits.units import patients, slides

KINDS = ("slide", "patient", "site")


@dataclass(frozen=True)
class Owners:
    """code: (N,) int64 of every row of the store, -1 unknown; names: code -> name."""

    kind: str
    code: np.ndarray
    names: dict[int, str]


def owners(table: PatchTable, kind: str) -> Owners:
    """kind: of KINDS. A slide name that several patients have is given with the patient's."""
    if kind == "site":
        return Owners(kind, table.site.codes.astype(np.int64), dict(enumerate(map(str, table.site.names))))
    if kind == "patient":
        return Owners(kind, patients(table), dict(enumerate(map(str, table.patient.names))))
    code = slides(table)
    own = dict(enumerate(map(str, table.slide.names)))
    found, first = np.unique(code, return_index=True)
    shared = [(int(c), int(row)) for c, row in zip(found, first, strict=True) if c >= len(table.slide.names)]
    return Owners(kind, code, own | {c: f"{table.patient[row]}/{table.slide[row]}" for c, row in shared})
