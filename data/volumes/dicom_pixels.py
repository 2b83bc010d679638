"""The pixels of one DICOM slice, in HU."""

from typing import Any

import numpy as np
import pydicom
import SimpleITK
from pydicom.encaps import generate_frames

from data.volumes.codestream import picture_size
from data.volumes.dicom_headers import DEFLATED, Header
from data.volumes.dicom_kind import NATIVE, RLE
from data.volumes.quiet import PARSER_ERRORS, attempt, mute
from data.volumes.reasons import Reason
from data.volumes.volume import AIR_HU

# a padding value above this would be tissue: some anonymisers write 0, which is water
PADDING_BELOW_HU = -900
# what a decoder needs, and no more
DECODER_TAGS = ["Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
                "HighBit", "PixelRepresentation", "NumberOfFrames", "PixelData"]  # fmt: skip


def read_hu(header: Header) -> np.ndarray | Reason:
    """(rows, columns) float64 HU: stored value * slope + intercept, padding made air. A reason when it cannot be read.

    Call within `quiet()`. Uncompressed and RLE are decoded by NumPy and pydicom, the JPEG family by GDCM.
    """
    assert header.syntax != DEFLATED, "refused by its header"
    ds = attempt(lambda: pydicom.dcmread(header.path, force=True, specific_tags=DECODER_TAGS))
    if ds is None:
        return Reason.CORRUPT
    if not (content := attempt(lambda: ds.PixelData)):
        # of a compressed file that ends early, pydicom drops the pixels
        return Reason.TRUNCATED
    slope, intercept = header.slope or 1.0, header.intercept or 0.0
    if header.syntax in NATIVE:
        stored = _native(header, content)
    elif header.syntax == RLE:
        stored = _decoded(ds)
    else:
        stored = _gdcm(header, content)
    if isinstance(stored, Reason):
        return stored
    if stored.shape != (header.rows, header.columns):
        return Reason.CORRUPT
    if header.syntax in NATIVE or header.syntax == RLE:
        hu = _signed(stored, header).astype(np.float64) * slope + intercept
    else:
        hu = stored.astype(np.float64)  # GDCM has applied slope and intercept
    return _without_padding(hu, header, slope, intercept)


def padding_ignored(header: Header) -> bool:
    """Whether the padding value is left alone, because it would be tissue."""
    if header.padding is None:
        return False
    slope, intercept = header.slope or 1.0, header.intercept or 0.0
    return max(value * slope + intercept for value in header.padding) > PADDING_BELOW_HU


def _native(header: Header, content: bytes) -> np.ndarray | Reason:
    kind = np.dtype(f"{NATIVE[header.syntax]}u{header.bits_allocated // 8}")
    wanted = header.rows * header.columns
    if len(content) < wanted * kind.itemsize:
        return Reason.TRUNCATED
    return np.frombuffer(content, kind, wanted).reshape(header.rows, header.columns).astype(kind.newbyteorder("="))


def _decoded(ds: Any) -> np.ndarray | Reason:
    from pydicom.pixels.utils import pixel_array

    pixels = attempt(lambda: pixel_array(ds, raw=True))
    return Reason.CORRUPT if pixels is None else pixels.view(f"u{pixels.itemsize}")


def _gdcm(header: Header, content: bytes) -> np.ndarray | Reason:
    stream = attempt(lambda: next(generate_frames(content, number_of_frames=1))) or b""
    if picture_size(stream, header.syntax) != (header.rows, header.columns):
        return Reason.CORRUPT
    try:
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(header.path))
        with mute():
            image = reader.Execute()
    except PARSER_ERRORS:
        return Reason.CORRUPT
    pixels: np.ndarray = SimpleITK.GetArrayFromImage(image)
    return pixels[0] if pixels.ndim == 3 and len(pixels) == 1 else pixels


def _signed(stored: np.ndarray, header: Header) -> np.ndarray:
    """The bits that are stored, and no others: what lies above them may be an overlay, or a sign never extended."""
    spare = header.bits_allocated - header.bits_stored
    values = stored.view(f"i{stored.itemsize}") if header.signed else stored
    return (values << spare) >> spare if spare else values


def _without_padding(hu: np.ndarray, header: Header, slope: float, intercept: float) -> np.ndarray:
    if header.padding is None or padding_ignored(header):
        return hu
    low, high = sorted(value * slope + intercept for value in header.padding)
    near = abs(slope) / 4  # half of the distance between stored values, and again half
    hu[(hu >= low - near) & (hu <= high + near)] = AIR_HU
    return hu
