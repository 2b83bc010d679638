"""Grow a patch table row by row in compact arrays."""

from array import array

import numpy as np

from data.listing import Listing, Texts
from data.readers.base import Record
from data.source_labels import SourceLabels
from data.table import PatchTable


class TableBuilder:
    """Rows of a patch table with the labels beside them, in the order they are added."""

    def __init__(self) -> None:
        self._ids = array("Q")
        self._pixels = array("Q")
        self._source, self._part = Texts(), Texts()
        self.listing = Listing()

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, patch_id: int, record: Record, source: str, part: str, digest: tuple[int, int]) -> None:
        """Append one patch."""
        self._ids.append(patch_id)
        self._pixels.extend(digest)
        self._source.add(source)
        self._part.add(part)
        self.listing.add(record)

    def table(self) -> PatchTable:
        """What was added, without labels."""
        ids, pixels = np.array(self._ids, np.uint64), np.array(self._pixels, np.uint64).reshape(-1, 2)
        patient, slide, site = (self.listing.texts[name].column() for name in ("patient", "slide", "site"))
        return PatchTable(ids, pixels, self._source.column(), patient, slide, site)

    def labels(self) -> SourceLabels:
        """What the sources say of labels and splits."""
        texts = self.listing.texts
        return SourceLabels(texts["label"].column(), texts["split"].column(), self._part.column())
