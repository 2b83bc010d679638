"""A folder per class: the first folder below the root is the label."""

from collections.abc import Iterator
from typing import Literal

from data.errors import ChainError, ExitCode
from data.readers._files import TreeReader, is_image
from data.readers.base import Record


class Folder(TreeReader):
    """Labelled image files, `path/CLASS/.../patch.jpg`."""

    kind: Literal["folder"] = "folder"

    def records(self) -> Iterator[Record]:
        """Every file, labelled by its class folder. Raises ChainError (65) for an image outside any class folder."""
        for key in self.files():
            label, below, _ = key.partition("/")
            if not below and is_image(key):
                raise ChainError(
                    f"source {self.name}: {self.path / key} lies in no class folder",
                    "in a source of kind `folder` the first folder is the label",
                    "move it into a class folder, or use kind: tree for patches without labels",
                    ExitCode.BAD_DATA,
                )
            yield self.record(key, label)
