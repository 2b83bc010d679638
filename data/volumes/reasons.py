"""Why a volume is refused: every reason has one name, and some can be overridden by that name.

`accept: [gantry_tilt]` in the configuration overrides one reason; `MENDED` says what is then done. Messages name the
volume by its keyed hash and never carry a tag's value, a file's name or a folder's.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType

from data.errors import ChainError, ExitCode


class Reason(StrEnum):
    """What is wrong with a volume."""

    # what it is
    NON_CT = "non_ct"
    LOCALIZER = "localizer"
    SECONDARY_CAPTURE = "secondary_capture"
    MULTI_FRAME = "multi_frame"
    COLOUR = "colour"
    MONOCHROME1 = "monochrome1"
    BURNED_IN = "burned_in"
    TIME_SERIES = "time_series"
    # its values
    NO_RESCALE = "no_rescale"
    NOT_HU = "not_hu"
    OUT_OF_RANGE = "out_of_range"
    NON_FINITE = "non_finite"
    # its geometry
    NO_GEOMETRY = "no_geometry"
    NO_ORIENTATION = "no_orientation"
    GANTRY_TILT = "gantry_tilt"
    OBLIQUE = "oblique"
    INCONSISTENT_ORIENTATION = "inconsistent_orientation"
    INCONSISTENT_SPACING = "inconsistent_spacing"
    INCONSISTENT_SIZE = "inconsistent_size"
    NOT_IN_LINE = "not_in_line"
    UNEVEN_SPACING = "uneven_spacing"
    MISSING_SLICES = "missing_slices"
    DUPLICATE_SLICES = "duplicate_slices"
    # its files
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    OUTSIDE = "outside"
    UNREADABLE = "unreadable"


_LEFT_OUT = "it is left out and not counted as a failure"

MENDED: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.NON_CT: _LEFT_OUT,
        Reason.LOCALIZER: _LEFT_OUT,
        Reason.SECONDARY_CAPTURE: _LEFT_OUT,
        Reason.BURNED_IN: "its pixels are taken with what is written in them",
        Reason.NO_RESCALE: "its stored values are taken as HU",
        Reason.NOT_HU: "its values are taken as HU",
        Reason.OUT_OF_RANGE: "values are clipped to -32768 and 32767",
        Reason.NON_FINITE: "voxels that are no number become air, -1024 HU",
        Reason.NO_ORIENTATION: "its axes are taken as SimpleITK reads them",
        Reason.GANTRY_TILT: "it is sheared back onto an axial grid by linear interpolation",
        Reason.OBLIQUE: "it is resampled onto an axial grid by linear interpolation",
        Reason.UNEVEN_SPACING: "slices are interpolated linearly, by their true places, at the median distance",
        Reason.MISSING_SLICES: "the gap is filled by linear interpolation between its neighbours",
    }
)
# what is no volume to begin with: accepting it means leaving it out
LEFT_OUT = frozenset(reason for reason, done in MENDED.items() if done == _LEFT_OUT)

SHOULD: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.MULTI_FRAME: "export the series as one file a slice, or convert it to NIfTI",
        Reason.COLOUR: "export the series without overlays, in Hounsfield units",
        Reason.MONOCHROME1: "export the series in Hounsfield units",
        Reason.TIME_SERIES: "write each time point to a file of its own",
        Reason.NO_GEOMETRY: "export the series again with its positions, or move it elsewhere",
        Reason.INCONSISTENT_ORIENTATION: "sort out the slices that do not belong to it",
        Reason.INCONSISTENT_SPACING: "sort out the slices that do not belong to it",
        Reason.INCONSISTENT_SIZE: "sort out the slices that do not belong to it",
        Reason.NOT_IN_LINE: "sort out the slices that do not belong to it",
        Reason.DUPLICATE_SLICES: "keep one of the two series that share these positions",
        Reason.TRUNCATED: "copy the file again from its origin",
        Reason.CORRUPT: "copy the file again from its origin, or move it elsewhere",
        Reason.UNSUPPORTED: "convert it, for instance to uncompressed DICOM or to NIfTI",
        Reason.TOO_LARGE: "crop it",
        Reason.OUTSIDE: "put the file itself into the folder",
        Reason.UNREADABLE: "allow reading the file",
    }
)


class Unfit(Exception):  # noqa: N818 - not yet a refusal: whoever knows the volume's keyed hash makes it one
    """A file that cannot be a volume, found where its name is not known. why: without names and values of tags."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(reason)
        self.reason, self.why = reason, why


class VolumeError(ChainError):
    """A volume is refused. `reasons`: all that stand in the way; `reason`: the first."""

    def __init__(self, shown: str, reasons: Collection[Reason], why: str) -> None:
        self.reasons = tuple(reasons)
        self.reason = self.reasons[0]
        names = ", ".join(self.reasons)
        acceptable = [reason for reason in self.reasons if reason in MENDED]
        if len(acceptable) == len(self.reasons):
            done = "; ".join(f"{reason}: {MENDED[reason]}" for reason in acceptable)
            todo = f"mend it, or set accept: [{names}] ({done})"
        else:
            first = next(reason for reason in self.reasons if reason not in MENDED)
            todo = SHOULD[first]
        super().__init__(f"volume {shown} is refused: {names}", why, todo, ExitCode.BAD_DATA)


def refuse_unless_accepted(shown: str, problems: Mapping[Reason, str], accept: Collection[Reason]) -> tuple[str, ...]:
    """Notes on what is mended. Raises VolumeError naming every reason among `problems` that is not accepted."""
    refused = {reason: why for reason, why in problems.items() if reason not in accept or reason not in MENDED}
    if refused:
        raise VolumeError(shown, list(refused), "; ".join(refused.values()))
    return tuple(f"{reason}: {why}; {MENDED[reason]}" for reason, why in problems.items())
