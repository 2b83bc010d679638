"""The header of a NIfTI-1 file (.nii, .nii.gz), as far as it must be known before the file is read.

Layout: nifti1.h, https://nifti.nimh.nih.gov/nifti-1.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from data.volumes.declared import Declared, check_place, volume_size
from data.volumes.reasons import Reason, Unfit

HEADER_BYTES, WITH_FLAG = 348, 352  # the flag says whether extensions follow
SECOND_HEADER_BYTES = 540  # of NIfTI-2, which ITK does not read
# datatype -> bytes: 8 to 64 bit whole numbers, 32 and 64 bit floats
VOXEL_BYTES = {2: 1, 4: 2, 8: 4, 16: 4, 64: 8, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8}
COLOURS = {128, 2304}
DISAGREE_MM = 0.5


def nifti_declared(path: Path) -> Declared:
    """Raises Unfit, OSError."""
    start, packed = _start(path)
    fields = _Fields(start)
    if start[344:347] != b"n+1":
        raise Unfit(Reason.UNSUPPORTED, "it is an Analyze file or a pair of header and image, not one NIfTI file")
    if not 1 <= fields.dim[0] <= 7:
        raise Unfit(Reason.CORRUPT, "it declares a number of dimensions that NIfTI does not have")
    size = volume_size(list(fields.dim[1 : 1 + fields.dim[0]]))
    if fields.datatype in COLOURS:
        raise Unfit(Reason.COLOUR, "its voxels are colours")
    if fields.datatype not in VOXEL_BYTES:
        raise Unfit(Reason.UNSUPPORTED, "its voxels are neither whole numbers nor 32 or 64 bit floats")
    if not WITH_FLAG <= fields.vox_offset <= 1 << 30:
        raise Unfit(Reason.CORRUPT, "its voxels are said to begin where they cannot")
    problems = {}
    if not fields.qform_code and not fields.sform_code:
        problems[Reason.NO_ORIENTATION] = "it does not say how its axes lie in the patient"
    check_place(fields.pixdim[1:4] if fields.qform_code or not fields.sform_code else (), fields.origins())
    voxel, offset = VOXEL_BYTES[fields.datatype], int(fields.vox_offset)
    floats = f"{fields.order}f{voxel}" if fields.datatype in (16, 64) else ""
    return Declared(size, voxel, path, offset, "zlib" if packed else "raw", 0, problems, floats)


def nifti_notes(path: Path) -> tuple[str, ...]:
    """What the reader should be told of a file that `nifti_declared` takes: two orientations that disagree."""
    fields = _Fields(_start(path)[0])
    if not fields.qform_code or not fields.sform_code:
        return ()
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)
    corners[:, :3] *= np.array(fields.dim[1:4]) - 1
    apart = np.abs(corners @ (fields.qform() - fields.sform).T).max()
    if not apart > DISAGREE_MM:
        return ()
    return (f"its two orientations, qform and sform, lie up to {apart:.1f} mm apart; SimpleITK's choice is taken",)


def nifti_not_finite(declared: Declared) -> np.ndarray | None:
    """(Z, Y, X) bool, where a voxel is no number; None when all are. ITK reads such voxels as 0, which is water.

    Call after `check_payload`.
    """
    if not declared.floats:
        return None
    opened: Any = gzip.open if declared.packing == "zlib" else open
    with opened(declared.data, "rb") as file:
        file.seek(declared.offset)
        content = file.read(declared.total_bytes)
    bad: np.ndarray = ~np.isfinite(np.frombuffer(content, declared.floats).reshape(declared.size[::-1]))
    return bad if bad.any() else None


def _start(path: Path) -> tuple[bytes, bool]:
    """The unpacked beginning of a file, and whether it is packed. Raises Unfit, OSError."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    packed = start.startswith(b"\x1f\x8b")
    if packed:
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, 1024)
        except zlib.error:
            start = b""
    if any(start[:4] == struct.pack(f"{order}i", SECOND_HEADER_BYTES) for order in "<>"):
        raise Unfit(Reason.UNSUPPORTED, "it is a NIfTI-2 file")
    if len(start) < WITH_FLAG:
        raise Unfit(Reason.TRUNCATED, "it ends within its header")
    return start, packed


class _Fields:
    def __init__(self, start: bytes) -> None:
        orders = [order for order in "<>" if start[:4] == struct.pack(f"{order}i", HEADER_BYTES)]
        if not orders:
            raise Unfit(Reason.CORRUPT, "it is not a NIfTI file")
        self.order = orders[0]

        def take(form: str, at: int) -> tuple[Any, ...]:
            return struct.unpack_from(self.order + form, start, at)

        self.dim: tuple[int, ...] = take("8h", 40)
        self.datatype: int = take("h", 70)[0]
        self.pixdim: tuple[float, ...] = take("8f", 76)
        self.vox_offset: float = take("f", 108)[0]
        self.qform_code, self.sform_code = take("2h", 252)
        self.quatern: tuple[float, ...] = take("6f", 256)
        self.sform = np.eye(4)
        self.sform[:3] = np.reshape(take("12f", 280), (3, 4))

    def origins(self) -> tuple[float, ...]:
        """Of whichever orientations are given."""
        places: list[float] = []
        if self.qform_code:
            places += self.quatern[3:]
        if self.sform_code:
            places += self.sform[:3, 3].tolist()
        return tuple(places)

    def qform(self) -> np.ndarray:
        """(4, 4) of the quaternion, as the standard has it (nifti1.h, "METHOD 2")."""
        b, c, d = self.quatern[:3]
        a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
        turn = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        sign = -1.0 if self.pixdim[0] < 0 else 1.0
        affine = np.eye(4)
        affine[:3, :3] = turn * np.array([self.pixdim[1], self.pixdim[2], sign * self.pixdim[3]])
        affine[:3, 3] = self.quatern[3:]
        return affine
