"""What the text headers of MetaImage and NRRD share: a bounded length, and numbers that are numbers."""

import math
from pathlib import Path

from data.volumes.reasons import Reason, Unfit

MAX_HEADER_BYTES = 1 << 16


def beginning(path: Path) -> bytes:
    """The part of a file in which its header must end. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_HEADER_BYTES)


def whole_numbers(text: str) -> list[int]:
    """Numbers apart by spaces. Raises Unfit (corrupt)."""
    parts = text.split()
    if not parts or len(parts) > 16 or not all(part.isascii() and part.isdigit() and len(part) < 12 for part in parts):
        raise Unfit(Reason.CORRUPT, "its header declares sizes that are no whole numbers")
    return [int(part) for part in parts]


def numbers(text: str) -> tuple[float, ...]:
    """Finite numbers apart by spaces, commas and brackets. Raises Unfit (corrupt)."""
    try:
        values = tuple(map(float, text.replace("(", " ").replace(")", " ").replace(",", " ").split()))
    except ValueError:
        values = (math.nan,)
    if not values or not all(map(math.isfinite, values)):
        raise Unfit(Reason.CORRUPT, "its header holds something else where a number should be")
    return values
