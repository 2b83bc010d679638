"""What a finished model says of the validation patches, with their labels: what the gate compares, patch by patch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import replacing
from data.patches.table import PatchTable
from data.splits.units import units

FILE = "validation.h5"
COLUMNS = ("ids", "log_probs", "label", "group")


@dataclass(frozen=True)
class Judged:
    """ids: (V,) uint64 ascending; log_probs: (V, C) float32; label: (V,) int16, given by people;

    group: (V,) int64, equal for patches of one patient (else slide, else each patch its own).
    """

    ids: np.ndarray
    log_probs: np.ndarray
    label: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def predicted(self) -> np.ndarray:
        """(V,) int64."""
        best: np.ndarray = self.log_probs.argmax(axis=1)
        return best


def groups_of(table: PatchTable, ids: np.ndarray) -> np.ndarray:
    """A code per patient, else slide, else patch, of the patches `ids`: (V,) int64."""
    order = np.argsort(table.ids, kind="stable")
    found: np.ndarray = units(table, "auto")[0][order[np.searchsorted(table.ids, ids, sorter=order)]]
    return found


def write_judged(directory: Path, judged: Judged) -> None:
    """Write validation.h5. Equal values are equal bytes."""
    from data.files.hdf5 import h5py

    assert bool((judged.ids[1:] > judged.ids[:-1]).all())
    with replacing(directory / FILE) as part, h5py.File(part, "w") as file:
        for name in COLUMNS:
            file.create_dataset(name, data=getattr(judged, name))


def read_judged(directory: Path) -> Judged | None:
    """Read validation.h5; None where the chain has no validation split. Raises ChainError (76) when it is damaged."""
    from data.files.hdf5 import read_arrays

    path = directory / FILE
    if not path.is_file():
        return None
    try:
        return Judged(**read_arrays(path, COLUMNS, ExitCode.DAMAGED))
    except ChainError as error:
        raise ChainError(
            f"{path} cannot be read",
            f"{error.what}: {error.why}",
            "see which step to make again: `verify RUN`",
            ExitCode.DAMAGED,
        ) from error
