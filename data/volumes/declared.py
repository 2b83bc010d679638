"""What a file's header promises, and whether the file can hold it: checked before anything is read or allocated."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data.volumes.reasons import Reason, Unfit
from data.volumes.regrid import MAX_VOXELS

Packing = Literal["raw", "zlib"]
PIECE = 1 << 20
# what may follow the voxels: padding, a trailer. Far more is a bomb.
SPARE_BYTES = 64 << 20
MOST_PACKED = 1100  # deflate cannot do better than 1 : 1032
SMALLEST_MM, LARGEST_MM, FARTHEST_MM = 0.005, 100.0, 1e5


@dataclass(frozen=True)
class Declared:
    """size: voxels along x, y, z. voxel_bytes: of one. data: the file with the voxels, which begin at `offset`.

    packing: "zlib": deflated (zlib or gzip), from `packed_from` on; the offset then counts unpacked bytes.
    problems: what the user must accept. floats: the NumPy type of voxels that are floats, with its byte order; else "".
    """

    size: tuple[int, int, int]
    voxel_bytes: int
    data: Path
    offset: int
    packing: Packing = "raw"
    packed_from: int = 0
    problems: Mapping[Reason, str] = field(default_factory=dict)
    floats: str = ""

    @property
    def total_bytes(self) -> int:
        """Of all voxels."""
        return math.prod(self.size) * self.voxel_bytes


def volume_size(numbers: list[int]) -> tuple[int, int, int]:
    """x, y, z of the sizes of any number of dimensions. Raises Unfit when they are not those of one volume."""
    if any(number < 1 for number in numbers):
        raise Unfit(Reason.CORRUPT, "it declares a dimension of less than 1")
    if any(number != 1 for number in numbers[3:]):
        raise Unfit(Reason.TIME_SERIES, f"it has {len(numbers)} dimensions: several volumes, or vectors")
    if len(numbers) < 3:
        raise Unfit(Reason.NO_GEOMETRY, "it has fewer than three dimensions")
    if math.prod(numbers) > MAX_VOXELS:
        raise Unfit(Reason.TOO_LARGE, f"it declares more than {MAX_VOXELS:,} voxels")
    return numbers[0], numbers[1], numbers[2]


def check_place(spacing_mm: tuple[float, ...], origin_mm: tuple[float, ...]) -> None:
    """Raises Unfit for a spacing that no scanner has, or a place no patient can lie in."""
    if not all(SMALLEST_MM <= abs(step) <= LARGEST_MM for step in spacing_mm):
        raise Unfit(Reason.NO_GEOMETRY, f"its voxels are not between {SMALLEST_MM} and {LARGEST_MM:g} mm in size")
    if not all(abs(place) <= FARTHEST_MM for place in origin_mm):
        raise Unfit(Reason.NO_GEOMETRY, f"it lies more than {FARTHEST_MM:g} mm from the origin")


def check_payload(declared: Declared) -> None:
    """Raises Unfit (truncated, corrupt) unless the file holds what it declares; packed data are unpacked to see.

    Of packed data this also checks the checksum at their end. Raises OSError when the file cannot be read.
    """
    wanted = declared.offset + declared.total_bytes
    stored = declared.data.stat().st_size - declared.packed_from
    if declared.packing == "raw":
        if stored < wanted:
            raise Unfit(Reason.TRUNCATED, f"it holds {max(0, stored):,} of {wanted:,} bytes")
        return
    if wanted > MOST_PACKED * max(stored, 0) + PIECE:
        raise Unfit(Reason.TRUNCATED, f"it declares {wanted:,} bytes and stores {max(0, stored):,}")
    try:
        unpacked, whole = _unpacked(declared, wanted + SPARE_BYTES)
    except zlib.error:
        unpacked, whole = -1, False
    if unpacked < 0:
        raise Unfit(Reason.CORRUPT, "its packed data cannot be unpacked, or their checksum is wrong")
    if not whole or unpacked < wanted:
        raise Unfit(Reason.TRUNCATED, f"unpacked it holds {unpacked:,} of {wanted:,} bytes")
    if unpacked > wanted + SPARE_BYTES:
        raise Unfit(Reason.CORRUPT, "unpacked it holds far more than it declares")


def _unpacked(declared: Declared, most: int) -> tuple[int, bool]:
    """How many bytes there are, counted to a little over `most`, and whether the end was reached in order."""
    inflate, count = zlib.decompressobj(wbits=47), 0  # 47: zlib or gzip, whichever it is
    with declared.data.open("rb") as file:
        file.seek(declared.packed_from)
        while piece := file.read(PIECE):
            while piece:
                if inflate.eof:  # a gzip file may have several members; what is no member is a trailer
                    if not piece.startswith(b"\x1f\x8b"):
                        return count, True
                    inflate = zlib.decompressobj(wbits=47)
                count += len(inflate.decompress(piece, PIECE))
                piece = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
                if count > most:
                    return count, True
    return count, inflate.eof
