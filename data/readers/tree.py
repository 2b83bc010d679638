"""A plain folder or tree of image files without labels: a pool, unless told otherwise."""

from collections.abc import Iterator
from typing import Literal

from data.patches.record import Record
from data.readers._files import TreeReader
from data.readers.base import Part


class Tree(TreeReader):
    """Unlabelled image files, in one folder or any tree of folders."""

    kind: Literal["tree"] = "tree"
    part: Part = "pool"

    def records(self) -> Iterator[Record]:
        """Every file, without a label."""
        for key in self.files():
            yield self.record(key, "")
