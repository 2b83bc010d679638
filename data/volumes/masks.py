"""Masks: which file belongs to which volume, and its values on the volume's own grid."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

import numpy as np
import SimpleITK

from data.errors import ChainError, ExitCode
from data.patches.deid import pseudonym
from data.volumes.dicom_kind import WHY
from data.volumes.files import candidates
from data.volumes.found import Kind
from data.volumes.label_map import LabelMap
from data.volumes.reasons import SHOULD, Reason, Unfit, VolumeError
from data.volumes.sitk_files import DECLARED, SUFFIXES, declared_file, kind_of, read_image
from data.volumes.volume import Volume

HIGHEST = np.iinfo(np.uint16).max


def find_masks(folder: Path, strip: str, suffix: str, key: bytes, called: str) -> dict[str, list[tuple[Path, ...]]]:
    """Files of each mask by the keyed hash of the volume's name.

    Raises ChainError: 66 no folder, or no mask in it; 65 a mask that is a link out of the folder.
    """
    if not folder.is_dir():
        raise ChainError(f"the folder of {called} is missing", "no folder lies there", "correct `folder`",
                         ExitCode.MISSING)  # fmt: skip
    found: dict[str, list[tuple[Path, ...]]] = defaultdict(list)
    for path, _, looks in candidates(folder, "*"):
        kind = kind_of(path.name)
        if kind is None:
            continue
        ending = max((e for e in SUFFIXES if path.name.lower().endswith(e)), key=len)
        stem = path.name[: -len(ending)]
        if not stem.endswith(suffix):
            continue
        if looks == "outside":
            raise ChainError(f"a mask in {called} is refused", WHY[Reason.OUTSIDE], SHOULD[Reason.OUTSIDE],
                             ExitCode.BAD_DATA)  # fmt: skip
        found[pseudonym(key, stem.removesuffix(suffix) + strip)].append(_files(path, kind))
    if not found:
        raise ChainError(f"{called} holds no mask", f"no file there is called *{suffix}.nii.gz, .mha or .nrrd",
                         "correct `folder` or `suffix`", ExitCode.MISSING)  # fmt: skip
    return found


def read_mask(
    paths: tuple[Path, ...], volume: Volume, shown: str, called: str, accept: Collection[Reason] = ()
) -> LabelMap:
    """The mask on the volume's grid, resampled by nearest neighbour where its own grid is another.

    shown, called: the volume, and the key of the configuration, as messages say them.
    Raises ChainError (65): unreadable, not whole numbers from 0 to 65,535, empty, nowhere in the volume, or saved
    without its place.
    """
    image = _read(paths[0], shown, called, accept)
    if _lost_its_place(image, volume):
        raise _refused(
            shown,
            called,
            "it has the volume's voxels but begins at 0, 0, 0, the volume elsewhere: its writer lost where it lies",
            "write it again with the place of its volume (NiBabel: affine; ITK: CopyInformation)",
        )
    values = LabelMap(_on_grid_of(image, volume), volume.spacing_mm)
    if not values.values.any():
        raise _refused(shown, called, "it does not reach into the volume",
                       "is it the mask of another volume, or in other world axes?")  # fmt: skip
    return values


def _files(path: Path, kind: Kind) -> tuple[Path, ...]:
    """A mask's file and, for a .mhd header, that of its voxels."""
    try:
        data = DECLARED[kind](path).data
    except (Unfit, OSError):
        return (path,)  # refused by name when it is read
    return (path,) if data == path else (path, data)


def _read(path: Path, shown: str, called: str, accept: Collection[Reason]) -> SimpleITK.Image:
    """A three-dimensional image of uint16."""
    kind = kind_of(path.name)
    assert kind is not None, "the search takes files of known kinds"
    refusal: ChainError | None = None
    try:
        image = read_image(shown, path, kind, declared_file(shown, path, kind, accept))
    except VolumeError as error:
        refusal = _refused(shown, called, f"{', '.join(error.reasons)}: {error.why}", error.todo)
    if refusal is not None:  # outside: nothing of the reader's error travels with it
        raise refusal
    values = SimpleITK.GetArrayViewFromImage(image)
    if not _whole_numbers(values):
        raise _refused(shown, called, f"its values are not whole numbers from 0 to {HIGHEST:,}", "write it so")
    if not values.any():
        raise _refused(shown, called, "it is empty: every voxel is 0", "correct it, or leave its volume out")
    plain = SimpleITK.GetImageFromArray(values.astype(np.uint16))
    plain.CopyInformation(image)
    return plain


def _whole_numbers(values: np.ndarray) -> bool:
    # by slice: a mask of doubles is large enough without copies
    for piece in values:
        if piece.dtype.kind == "f" and not (np.isfinite(piece).all() and (piece == np.rint(piece)).all()):
            return False
        if piece.size and (piece.min() < 0 or piece.max() > HIGHEST):
            return False
    return values.dtype.kind in "iuf"


def _lost_its_place(image: SimpleITK.Image, volume: Volume) -> bool:
    """Whether a mask would be laid where it was never drawn: made of the volume's voxels, and saved without a place."""
    if sorted(image.GetSize()) != sorted(volume.hu.shape) or any(image.GetOrigin()):
        return False
    affine = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    ends = [_ends(affine, np.zeros(3), image.GetSize()), _ends(volume.affine, volume.origin_mm, volume.hu.shape[::-1])]
    return bool(np.abs(ends[0] - ends[1]).max() > min(volume.spacing_mm) / 2)


def _ends(affine: np.ndarray, origin_mm: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(2, 3) the least and the greatest world place of voxel centres."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(size) - 1) @ affine.T + origin_mm
    return np.stack([corners.min(0), corners.max(0)])


def _on_grid_of(image: SimpleITK.Image, volume: Volume) -> np.ndarray:
    """(Z, Y, X) uint16 of the volume's shape; places outside the mask are 0."""
    to = SimpleITK.ResampleImageFilter()
    to.SetSize([int(n) for n in volume.hu.shape[::-1]])
    to.SetOutputOrigin([float(value) for value in volume.origin_mm])
    to.SetOutputSpacing([float(value) for value in volume.spacing_mm])
    to.SetOutputDirection([float(value) for value in volume.direction.ravel()])
    to.SetInterpolator(SimpleITK.sitkNearestNeighbor)
    to.SetDefaultPixelValue(0)
    values: np.ndarray = SimpleITK.GetArrayFromImage(to.Execute(image))
    return values


def _refused(shown: str, called: str, why: str, todo: str) -> ChainError:
    return ChainError(f"volume {shown}: its mask in {called} is refused", why, todo, ExitCode.BAD_DATA)
