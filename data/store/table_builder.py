"""A patch table made of a listing: what was listed of a patch, and what is known once it has been read."""

from array import array

import numpy as np

from data.patches.listing import Listing, Texts, viewed
from data.patches.table import Column, PatchTable
from data.store.source_labels import SourceLabels


class TableBuilder:
    """Rows of a listing with what is known of each; rows that are never added are left out.

    What it gives are views of what it holds, where no row was left out: at the end a table costs no memory.
    """

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self._rows = array("I")  # of the listing
        self._ids = array("Q")
        self._pixels = array("Q")
        self._source, self._part = Texts(), Texts()

    def add(self, row: int, patch_id: int, source: str, part: str, digest: tuple[int, int]) -> None:
        """Append a patch. row: of the listing, after all that were added before."""
        self._rows.append(row)
        self._ids.append(patch_id)
        self._pixels.extend(digest)
        self._source.add(source)
        self._part.add(part)

    def table(self) -> PatchTable:
        """What was added, without labels."""
        ids, pixels = viewed(self._ids, np.uint64), viewed(self._pixels, np.uint64).reshape(-1, 2)
        patient, slide, site = (self._listed(name) for name in ("patient", "slide", "site"))
        return PatchTable(ids, pixels, self._source.column(), patient, slide, site)

    def labels(self) -> SourceLabels:
        """What the sources say of labels and splits."""
        return SourceLabels(self._listed("label"), self._listed("split"), self._part.column())

    def keys(self) -> tuple[np.ndarray, np.ndarray]:
        """As `Listing.keys`."""
        return self.listing.keys(self._chosen)

    def numbers(self) -> dict[str, np.ndarray]:
        """As `Listing.numbers`."""
        return self.listing.numbers(self._chosen)

    @property
    def _chosen(self) -> np.ndarray | None:
        """Rows of the listing, where some were left out."""
        return None if len(self._rows) == len(self.listing) else viewed(self._rows, np.uint32)

    def _listed(self, name: str) -> Column:
        column = self.listing.texts[name].column()
        return column if self._chosen is None else column.take(self._chosen).recoded()
