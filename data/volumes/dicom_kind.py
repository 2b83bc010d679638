"""Is one DICOM file a slice of a CT volume, judged by its header?"""

from data.volumes.dicom_headers import Header
from data.volumes.hu import AIR_BELOW_HU
from data.volumes.reasons import Reason

NATIVE = {
    "1.2.840.10008.1.2": "<",  # implicit, little endian
    "1.2.840.10008.1.2.1": "<",  # explicit, little endian
    "1.2.840.10008.1.2.2": ">",  # explicit, big endian
}
RLE = "1.2.840.10008.1.2.5"
JPEG_FAMILY = {
    "1.2.840.10008.1.2.4.50",  # JPEG baseline, 8 bit
    "1.2.840.10008.1.2.4.51",  # JPEG extended, 12 bit
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first order
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ENHANCED = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
HU_TYPES = {"", "HU", "HU_MOD"}
UNSPECIFIED = "US"  # what ITK writes of any CT: its values are looked at instead

WHY: dict[Reason, str] = {
    Reason.NON_CT: "it is not a CT image",
    Reason.LOCALIZER: "it is a scout view, not slices",
    Reason.SECONDARY_CAPTURE: "it is a captured screen, not measured values",
    Reason.MULTI_FRAME: "it is an enhanced CT with all slices in one file, which is not read",
    Reason.COLOUR: "its pixels are colours",
    Reason.MONOCHROME1: "its grey values are inverted (MONOCHROME1)",
    Reason.BURNED_IN: "it says that texts are written into its pixels; they may name the patient",
    Reason.NO_RESCALE: "rescale slope or intercept is missing, zero or no number: its values cannot be turned into HU",
    Reason.NOT_HU: "it says that its values are not Hounsfield units",
    Reason.UNSUPPORTED: "its transfer syntax or its bit depth is not read",
    Reason.CORRUPT: "the file cannot be read as DICOM, or contradicts itself",
    Reason.TRUNCATED: "the file ends before its pixels do",
    Reason.NO_GEOMETRY: "position, orientation or pixel spacing of its slices is missing or no number",
    Reason.UNREADABLE: "the file cannot be read",
    Reason.OUTSIDE: "a symbolic link leads out of the folder",
}


def never(header: Header) -> Reason | None:
    """Why this file is no slice of a CT volume, whatever else; None when it may be one."""
    if header.sop_class == SECONDARY_CAPTURE or header.sop_class.startswith(SECONDARY_CAPTURE + "."):
        return Reason.SECONDARY_CAPTURE
    if header.modality != "CT" or not header.rows or not header.columns:
        return Reason.NON_CT
    if {"LOCALIZER", "SCOUT"} & set(header.image_type):
        return Reason.LOCALIZER
    if header.samples != 1 or not header.photometric.startswith("MONOCHROME"):
        return Reason.COLOUR
    if header.photometric != "MONOCHROME2":
        return Reason.MONOCHROME1
    if header.frames != 1 or header.sop_class in ENHANCED:
        return Reason.MULTI_FRAME
    if header.syntax not in NATIVE and header.syntax not in JPEG_FAMILY and header.syntax != RLE:
        return Reason.UNSUPPORTED
    if header.bits_allocated not in (8, 16):
        return Reason.UNSUPPORTED
    if not 1 <= header.bits_stored <= header.bits_allocated or header.high_bit != header.bits_stored - 1:
        return Reason.CORRUPT
    return None


def doubtful(header: Header) -> Reason | None:
    """What the user may override for this file; None when there is nothing."""
    if header.burned_in:
        return Reason.BURNED_IN
    if not header.slope or header.intercept is None:
        return Reason.NO_RESCALE
    if header.rescale_type not in HU_TYPES | {UNSPECIFIED}:
        return Reason.NOT_HU
    return None


def to_be_looked_at(header: Header) -> bool:
    """Whether only the values can tell that they are HU: it does not say, or there is no way to say air."""
    # stored without a sign and not lowered either: an export that lost the intercept, 1,024 HU too dense
    no_air = not header.signed and (header.slope or 1) > 0 and (header.intercept or 0) > AIR_BELOW_HU
    return header.rescale_type == UNSPECIFIED or no_air
