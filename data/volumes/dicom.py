"""One DICOM series, one file a slice, to a volume in HU."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from data.volumes import dicom_kind, regrid
from data.volumes.declared import check_place
from data.volumes.dicom_headers import Header, read_header
from data.volumes.dicom_kind import WHY
from data.volumes.dicom_pixels import padding_ignored, read_hu
from data.volumes.hu import implausible, whole_hu
from data.volumes.placed import placed
from data.volumes.quiet import quiet
from data.volumes.reasons import Reason, Unfit, VolumeError, refuse_unless_accepted
from data.volumes.stack import SAME_PLACE_MM, TILT_DEG, Stack, stacked
from data.volumes.volume import Volume

MAX_SLICE_PIXELS = 1 << 26
GEOMETRY_WHY = {
    **WHY,
    Reason.INCONSISTENT_ORIENTATION: "its slices are turned differently",
    Reason.INCONSISTENT_SPACING: "its slices have different pixel spacings",
    Reason.INCONSISTENT_SIZE: "its slices have different numbers of rows or columns",
    Reason.NOT_IN_LINE: "its slices do not lie one above the other in a straight line",
}


def judged(shown: str, headers: list[Header], accept: Collection[Reason]) -> tuple[Stack, dict[Reason, str]]:
    """The stack that headers promise, and what was accepted. Raises VolumeError, before any pixel is read."""
    for header in headers:
        if (reason := dicom_kind.never(header)) is not None:
            raise VolumeError(shown, [reason], WHY[reason])
    problems = {reason: WHY[reason] for header in headers if (reason := dicom_kind.doubtful(header)) is not None}
    if len({(header.rows, header.columns) for header in headers}) > 1:
        raise VolumeError(shown, [Reason.INCONSISTENT_SIZE], GEOMETRY_WHY[Reason.INCONSISTENT_SIZE])
    pixels = headers[0].rows * headers[0].columns
    if pixels > MAX_SLICE_PIXELS or pixels * len(headers) > regrid.MAX_VOXELS:
        raise VolumeError(shown, [Reason.TOO_LARGE], "it declares more voxels than a CT has")
    stack = _stack(headers)
    if isinstance(stack, Stack):
        try:
            spacing = (*np.linalg.norm(stack.affine[:, :2], axis=0), stack.step_mm)
            check_place(spacing, tuple(stack.origin_mm))
        except Unfit:
            stack = Reason.NO_GEOMETRY
    if isinstance(stack, Reason):
        raise VolumeError(shown, [stack], GEOMETRY_WHY[stack])
    problems.update(stack.problems)
    refuse_unless_accepted(shown, problems, accept)
    return stack, problems


def read_series(shown: str, paths: tuple[Path, ...], accept: Collection[Reason]) -> Volume:
    """Files of one series, in any order. Raises VolumeError."""
    with quiet():
        headers = [_header(shown, path) for path in paths]
        stack, problems = judged(shown, headers, accept)
        ordered = [headers[row] for row in stack.order]
        hu, more = _pixels(shown, ordered, accept)
    if Reason.NO_RESCALE in problems or any(map(dicom_kind.to_be_looked_at, headers)):
        more.update(implausible(hu))
    refuse_unless_accepted(shown, more, accept)
    notes = [*refuse_unless_accepted(shown, {**problems, **more}, accept), *_remarks(headers, stack)]
    hu, along = _once(shown, hu, stack.along_mm, notes)
    return _volume(shown, hu, along, stack, tuple(notes))


def _remarks(headers: list[Header], stack: Stack) -> list[str]:
    """What nobody needs to accept, and everybody should know."""
    remarks = []
    if any(map(padding_ignored, headers)):
        remarks.append("its padding value is a value of tissue, and was not taken for padding")
    if any(header.lossy for header in headers):
        remarks.append("its pixels have been compressed with losses: HU are not exact")
    tilted = any(abs(header.tilt_deg or 0) > TILT_DEG for header in headers)
    if tilted and not {Reason.GANTRY_TILT, Reason.OBLIQUE} & set(stack.problems):
        remarks.append("it says that the gantry was tilted; its slices lie straight, and are taken as corrected before")
    return remarks


def _header(shown: str, path: Path) -> Header:
    try:
        found = read_header(path)
    except OSError:
        found = Reason.UNREADABLE
    if isinstance(found, Header):
        return found
    reason = found or Reason.NON_CT
    raise VolumeError(shown, [reason], WHY[reason])


def _stack(headers: list[Header]) -> Stack | Reason:
    position = [header.position_mm for header in headers]
    orientation = [header.orientation for header in headers]
    pixel = [header.pixel_mm for header in headers]
    if None in position or None in orientation or None in pixel:
        return Reason.NO_GEOMETRY
    thickness = [header.thickness_mm for header in headers if header.thickness_mm and header.thickness_mm > 0]
    return stacked(
        np.array(position, float),
        np.array(orientation, float),
        np.array(pixel, float),
        float(np.median(thickness)) if thickness else None,
    )


def _pixels(shown: str, headers: list[Header], accept: Collection[Reason]) -> tuple[np.ndarray, dict[Reason, str]]:
    """(N, Y, X) int16 in the order given, and the problems of its values. Raises VolumeError."""
    volume = np.empty((len(headers), headers[0].rows, headers[0].columns), np.int16)
    problems: dict[Reason, str] = {}
    for row, header in enumerate(headers):
        hu = read_hu(header)
        if isinstance(hu, Reason):
            raise VolumeError(shown, [hu], f"slice {row + 1} of {len(headers)} by position: {WHY[hu]}")
        whole, wrong = whole_hu(hu, accept)
        problems.update(wrong)
        refuse_unless_accepted(shown, wrong, accept)
        volume[row] = whole
    return volume, problems


def _once(shown: str, hu: np.ndarray, along_mm: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Without slices that are there twice. Raises VolumeError when two at one place differ."""
    again = np.concatenate([[False], np.diff(along_mm) <= SAME_PLACE_MM])
    if not again.any():
        return hu, along_mm
    different = sum(not np.array_equal(hu[row], hu[row - 1]) for row in np.flatnonzero(again))
    if different:
        why = f"at {different} places it has two slices with different pixels"
        raise VolumeError(shown, [Reason.DUPLICATE_SLICES], why)
    notes.append(f"duplicate_slices: {int(again.sum())} slices are there twice with the same pixels; one is kept")
    return hu[~again], along_mm[~again]


def _volume(shown: str, hu: np.ndarray, along_mm: np.ndarray, stack: Stack, notes: tuple[str, ...]) -> Volume:
    if Reason.MISSING_SLICES in stack.problems:
        # on the regular grid, so that a slice that is there stays as it is however its position was rounded
        along_mm = np.rint(along_mm / stack.step_mm) * stack.step_mm
    if not stack.even:
        if regrid.too_large(hu[0].size * (along_mm[-1] / stack.step_mm + 1), hu.size):
            raise VolumeError(shown, [Reason.TOO_LARGE], "filled up to an even distance it has too many slices")
        hu = regrid.even_slices(hu, along_mm, stack.step_mm)
    affine = stack.affine * np.array([1.0, 1.0, stack.step_mm])
    return placed(shown, hu, affine, stack.origin_mm, stack.problems, notes)
