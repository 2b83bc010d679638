"""One patch of a slide: read, measured, encoded, hashed."""

from typing import NamedTuple

import numpy as np
import simplejpeg

from data.patches.record import Record
from data.patches.reference import Reference
from data.pixels.decode import decode_jpeg, pixel_digest
from data.slides.config import SlidesConfig
from data.slides.listing import Listed
from data.slides.placing import Place
from data.slides.quality import measure, unkept
from data.wsi.reading import SlideReader


class Taken(NamedTuple):
    """left_out: the column for which it is not kept, "" for a patch to keep (only that has content)."""

    content: bytes | np.ndarray | Reference
    digest: tuple[int, int]
    record: Record
    left_out: str


class Taker:
    """Reads, measures and encodes one patch; called from several threads."""

    def __init__(self, config: SlidesConfig, one: Listed, reader: SlideReader) -> None:
        self._config, self._one, self._reader = config, one, reader

    def __call__(self, place: Place) -> Taken:
        """Raises BadPatch for one that cannot be read."""
        config, one = self._config, self._one
        pixels = self._reader.patch(place.x_px, place.y_px)
        numbers = {"x_px": float(place.x_px), "y_px": float(place.y_px), "side_px": self._reader.plan.side_px,
                   "mpp": self._reader.plan.mpp, "tissue": place.tissue}  # fmt: skip
        left_out = None
        if config.quality.measure:
            quality = measure(pixels)._asdict()
            left_out = unkept(quality, config.quality.keep)
            # the thumbnail's tissue share laid the grid; the patch's own is what a filter looks at
            numbers |= quality
        row = one.row
        record = Record(place.key, place.label, one.patient, one.slide, row.site, row.split, numbers)
        if left_out is not None:
            return Taken(b"", (0, 0), record, left_out)
        content, stored = self._content(place, pixels)
        return Taken(content, pixel_digest(stored, "rgb8"), record, "")

    def _content(self, place: Place, pixels: np.ndarray) -> tuple[bytes | np.ndarray | Reference, np.ndarray]:
        """What is stored, and the pixels it will be read as."""
        match self._config.encoding:
            case "raw":
                return pixels, pixels
            case "reference":
                return Reference(self._reader.reference(place.x_px, place.y_px)), pixels
        own = self._reader.jpeg(place.x_px, place.y_px)
        if own is not None:
            return own, pixels
        encoded = _jpeg(pixels, self._config.jpeg_quality)
        return encoded, decode_jpeg(encoded, "rgb8")


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality, colorspace="RGB", colorsubsampling="444", fastdct=False
    )
    return encoded
