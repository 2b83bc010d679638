"""What is read of a DICOM file before its pixels: an allow-list of tags, nothing else.

Identifiers are hashed here, in the reader, and no other module ever sees them.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from data.patches.deid import pseudonym
from data.patches.table_words import LOST
from data.volumes.quiet import attempt
from data.volumes.reasons import Reason

# whatever is not named here is not read: dates, names, places, comments, private tags
GEOMETRY_TAGS = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
                 "AcquisitionNumber", "GantryDetectorTilt"]  # fmt: skip
KIND_TAGS = ["SOPClassUID", "Modality", "ImageType", "BurnedInAnnotation", "NumberOfFrames", "LossyImageCompression"]
PIXEL_TAGS = ["Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
              "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType",
              "PixelPaddingValue", "PixelPaddingRangeLimit"]  # fmt: skip
# only ever as keyed hashes
HASHED_TAGS = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]
ALLOWED_TAGS = GEOMETRY_TAGS + KIND_TAGS + PIXEL_TAGS + HASHED_TAGS
# what careless de-identification writes as the PatientID of everybody
NOBODY = LOST | {"n-a", "anon", "anonym", "anonymous", "anonymised", "anonymized"}

DICOMDIR = "1.2.840.10008.1.3.10"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True)
class Header:
    """One file. Texts are "" and numbers None where the file does not say, or not in a form that can be read.

    series, study, patient: keyed hashes ("" without a key); a patient called "anonymous" or the like is none.
    position_mm: (3,) of the first pixel's centre. orientation: direction of a row, then of a column.
    pixel_mm: distance of rows (y), of columns (x).
    """

    path: Path
    series: str
    study: str
    patient: str
    syntax: str
    sop_class: str
    modality: str
    image_type: tuple[str, ...]
    photometric: str
    burned_in: bool
    lossy: bool
    frames: int
    samples: int
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    slope: float | None
    intercept: float | None
    rescale_type: str
    padding: tuple[int, int] | None
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_mm: tuple[float, ...] | None
    thickness_mm: float | None
    tilt_deg: float | None
    acquisition: int | None


def read_header(path: Path, key: bytes | None = None) -> Header | Reason | None:
    """The header of one file; None for a directory of files (DICOMDIR); a reason when it cannot be read.

    key: of the hashes; None: they stay empty. Call within `quiet()`.
    """
    if not path.stat().st_size:
        return Reason.TRUNCATED
    # inflating reads the whole file, however large it says it becomes
    if _text(attempt(lambda: _meta(path)) or {}, "TransferSyntaxUID") == DEFLATED:
        return Reason.UNSUPPORTED
    with path.open("rb") as file:
        ds = attempt(lambda: pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=ALLOWED_TAGS))
        ended = not file.read(1)
    if ds is None:
        return Reason.CORRUPT
    if DICOMDIR in (_text(ds.file_meta, "MediaStorageSOPClassUID"), _text(ds, "SOPClassUID")):
        return None
    if not _text(ds, "SOPClassUID") and not _text(ds, "SeriesInstanceUID"):
        return Reason.CORRUPT
    if ended and _text(ds, "SOPClassUID") == CT_IMAGE:
        return Reason.TRUNCATED  # it ends before it comes to its pixels
    return _header(path, ds, key)


def _meta(path: Path) -> Any:
    try:
        return read_file_meta_info(path)
    except InvalidDicomError:  # no preamble: then it is not deflated either
        return None


def _header(path: Path, ds: Any, key: bytes | None) -> Header:
    def hashed(name: str) -> str:
        text = _text(ds, name)
        return pseudonym(key, text) if key is not None and text else ""

    # one patient called "anonymous" would tie all of them together
    nobody = _text(ds, "PatientID").lower() in NOBODY
    implicit, little = ds.original_encoding[:2] if ds.original_encoding[0] is not None else (True, True)
    plain = "1.2.840.10008.1.2.2" if not little else "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
    allocated = _whole(ds, "BitsAllocated") or 0
    return Header(
        path=path,
        series=hashed("SeriesInstanceUID"),
        study=hashed("StudyInstanceUID"),
        patient="" if nobody else hashed("PatientID"),
        syntax=_text(ds.file_meta, "TransferSyntaxUID") or plain,
        sop_class=_text(ds, "SOPClassUID"),
        modality=_text(ds, "Modality"),
        image_type=tuple(_text(ds, "ImageType").upper().split("\\")),
        photometric=_text(ds, "PhotometricInterpretation"),
        burned_in=_text(ds, "BurnedInAnnotation").upper() == "YES",
        lossy=_text(ds, "LossyImageCompression") == "01",
        frames=_whole(ds, "NumberOfFrames") or 1,
        samples=_whole(ds, "SamplesPerPixel") or 1,
        rows=_whole(ds, "Rows") or 0,
        columns=_whole(ds, "Columns") or 0,
        bits_allocated=allocated,
        bits_stored=_whole(ds, "BitsStored") or allocated,
        high_bit=_whole(ds, "HighBit") or (_whole(ds, "BitsStored") or allocated) - 1,
        signed=_whole(ds, "PixelRepresentation") == 1,
        slope=_number(ds, "RescaleSlope"),
        intercept=_number(ds, "RescaleIntercept"),
        rescale_type=_text(ds, "RescaleType").upper(),
        padding=_padding(ds),
        position_mm=_numbers(ds, "ImagePositionPatient", 3),
        orientation=_numbers(ds, "ImageOrientationPatient", 6),
        pixel_mm=_numbers(ds, "PixelSpacing", 2),
        thickness_mm=_number(ds, "SliceThickness"),
        tilt_deg=_number(ds, "GantryDetectorTilt"),
        acquisition=_whole(ds, "AcquisitionNumber"),
    )


def _padding(ds: Any) -> tuple[int, int] | None:
    value, limit = _whole(ds, "PixelPaddingValue"), _whole(ds, "PixelPaddingRangeLimit")
    if value is None:
        return None
    return (value, value) if limit is None else (min(value, limit), max(value, limit))


def _value(ds: Any, name: str) -> Any:
    return attempt(lambda: ds.get(name))


def _text(ds: Any, name: str) -> str:
    value = _value(ds, name)
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip("\0 ")
    return attempt(lambda: "\\".join(str(part) for part in value).strip("\0 ")) or ""


def _numbers(ds: Any, name: str, count: int) -> tuple[float, ...] | None:
    value = _value(ds, name)
    numbers = attempt(lambda: tuple(float(part) for part in value))
    good = numbers is not None and len(numbers) == count and all(map(math.isfinite, numbers))
    return numbers if good else None


def _number(ds: Any, name: str) -> float | None:
    value = _value(ds, name)
    number = attempt(lambda: float(value))
    return number if number is not None and math.isfinite(number) else None


def _whole(ds: Any, name: str) -> int | None:
    number = _number(ds, name)
    return int(number) if number is not None and number == int(number) else None
