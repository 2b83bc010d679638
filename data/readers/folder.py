"""A folder per class: the first folder below the root is the label."""

from collections.abc import Iterator
from typing import Literal

from data.errors import ChainError, ExitCode
from data.files.containment import hidden
from data.patches.record import Record
from data.readers._files import TreeReader, is_image


class Folder(TreeReader):
    """Labelled image files, `path/CLASS/.../patch.jpg`."""

    kind: Literal["folder"] = "folder"

    def records(self) -> Iterator[Record]:
        """Every file, labelled by its class folder.

        Raises ChainError (65) for an image outside any class folder, and for a class folder without an image.
        """
        filled = set()
        for key in self.files():
            label, below, _ = key.partition("/")
            if not below and is_image(key):
                raise ChainError(
                    f"source {self.name}: {self.path / key} lies in no class folder",
                    "in a source of kind `folder` the first folder is the label",
                    "move it into a class folder, or use kind: tree for patches without labels",
                    ExitCode.BAD_DATA,
                )
            if is_image(key):
                filled.add(label)
            yield self.record(key, label)
        folders = sorted(entry.name for entry in self.path.iterdir() if entry.is_dir() and not hidden(entry.name))
        if empty := [name for name in folders if name not in filled]:
            raise ChainError(
                f"source {self.name}: the class folder {self.path / empty[0]} holds no image"
                + (f"; nor do {len(empty) - 1:,} more" if len(empty) > 1 else ""),
                "in a source of kind `folder` every folder is a class; without patches it would be lost unseen",
                "put its patches there, move the folder elsewhere, or begin its name with a dot",
                ExitCode.BAD_DATA,
            )
