"""One volume as it was found on disk, under a name that identifies nobody."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data.volumes.reasons import Reason, VolumeError

Kind = Literal["dicom", "nifti", "meta", "nrrd"]


@dataclass(frozen=True)
class Found:
    """pseudonym: keyed hash of the series UID (DICOM) or of the path below the folder (files); unique.

    paths: absolute; of a DICOM series its files in the order of their positions; of a .mhd header and data.
    patient: keyed hash of the patient's id; "" where the file knows none. aliases: keyed hashes of whatever a
    user's table may call it: series UID, file name, file name without its suffix, path below the folder.
    fingerprint: of its files' content (`data.files.fingerprint`). refusal: why it cannot be read, known from
    headers alone. mended: faults that its headers show and that are accepted.
    """

    pseudonym: str
    kind: Kind
    paths: tuple[Path, ...]
    patient: str
    aliases: frozenset[str]
    fingerprint: str
    refusal: VolumeError | None = None
    mended: frozenset[Reason] = frozenset()
