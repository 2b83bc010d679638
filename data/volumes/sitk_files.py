"""NIfTI, MHA, MHD and NRRD files to volumes in HU, through SimpleITK."""

import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import SimpleITK

from data.volumes.declared import Declared, check_payload
from data.volumes.found import Kind
from data.volumes.hu import implausible, whole_hu
from data.volumes.meta_header import meta_declared
from data.volumes.nifti_header import nifti_declared, nifti_not_finite, nifti_notes
from data.volumes.nrrd_header import nrrd_declared
from data.volumes.placed import placed
from data.volumes.quiet import PARSER_ERRORS, mute, quiet
from data.volumes.reasons import Reason, Unfit, VolumeError, refuse_unless_accepted
from data.volumes.stack import oblique
from data.volumes.volume import Volume

DECLARED: Mapping[str, Callable[[Path], Declared]] = MappingProxyType(
    {"nifti": nifti_declared, "meta": meta_declared, "nrrd": nrrd_declared}
)
IMAGE_IO = MappingProxyType({"nifti": "NiftiImageIO", "meta": "MetaImageIO", "nrrd": "NrrdImageIO"})
SUFFIXES: Mapping[str, Kind] = MappingProxyType(
    {".nii": "nifti", ".nii.gz": "nifti", ".mha": "meta", ".mhd": "meta", ".nrrd": "nrrd"}
)


def kind_of(name: str) -> Kind | None:
    """The kind that a file's name promises."""
    return next((kind for suffix, kind in SUFFIXES.items() if name.lower().endswith(suffix)), None)


def declared_file(shown: str, path: Path, kind: Kind, accept: Collection[Reason]) -> Declared:
    """What a file's header declares. Raises VolumeError, from the header alone."""
    try:
        declared = DECLARED[kind](path)
    except Unfit as unfit:
        reason, why = unfit.reason, unfit.why
    except OSError:
        reason, why = Reason.UNREADABLE, "the file cannot be read"
    else:
        refuse_unless_accepted(shown, declared.problems, accept)
        return declared
    raise VolumeError(shown, [reason], why)


def read_image(shown: str, path: Path, kind: Kind, declared: Declared) -> Any:
    """The SimpleITK.Image of a file, checked first to hold what it declares. Raises VolumeError."""
    reason, why = Reason.CORRUPT, "SimpleITK cannot read it"
    try:
        check_payload(declared)
        with quiet(), mute():
            image = _reader(path, kind).Execute()
    except Unfit as unfit:
        reason, why = unfit.reason, unfit.why
    except (*PARSER_ERRORS, zlib.error):
        pass
    else:
        if (
            image.GetDimension() == 3
            and image.GetSize() == declared.size
            and image.GetNumberOfComponentsPerPixel() == 1
        ):
            return image
        why = "SimpleITK reads something else than the header declares"
    raise VolumeError(shown, [reason], why)


def lies_oblique(path: Path, kind: Kind) -> dict[Reason, str]:
    """What is wrong with the axes of a file, by its header; nothing where that cannot be read, as reading then says."""
    try:
        with quiet(), mute():
            reader = _reader(path, kind)
            reader.ReadImageInformation()
    except PARSER_ERRORS:
        return {}
    return oblique(np.array(reader.GetDirection()).reshape(3, 3)) if reader.GetDimension() == 3 else {}


def read_file(shown: str, path: Path, kind: Kind, accept: Collection[Reason]) -> Volume:
    """One file to a volume in HU. Raises VolumeError."""
    declared = declared_file(shown, path, kind, accept)
    image = read_image(shown, path, kind, declared)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    problems = {**declared.problems, **oblique(direction)}
    values = SimpleITK.GetArrayFromImage(image)
    if kind == "nifti" and (not_finite := nifti_not_finite(declared)) is not None:
        values[not_finite] = np.nan
    hu, wrong = whole_hu(values, accept)
    problems.update(wrong)
    if hu.dtype == np.int16:
        problems.update(implausible(hu))
    notes = refuse_unless_accepted(shown, problems, accept)
    if kind == "nifti":
        notes += nifti_notes(path)
    affine = direction * np.array(image.GetSpacing())
    return placed(shown, hu, affine, np.array(image.GetOrigin()), problems, notes)


def _reader(path: Path, kind: Kind) -> Any:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(IMAGE_IO[kind])
    reader.SetFileName(str(path))
    return reader
