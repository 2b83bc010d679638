"""MedMNIST archives: `train_images`, `train_labels`, `val_images`, ... in one `.npz`, its splits kept."""

import threading
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from data.files.blocks import Blocks
from data.files.held import ALONE_BYTES, held_sha256
from data.files.npy import NpyMember, open_members
from data.patches.record import Record
from data.readers._arrays import check_images, check_labels, label_texts
from data.readers.base import Reader

SPLITS = {"train": "train", "val": "validation", "test": "test"}
_OPENING = threading.Lock()


class Npz(Reader):
    """Patches and labels of a MedMNIST archive. Nothing pickled is ever loaded."""

    kind: Literal["npz"] = "npz"
    path: Annotated[Path, Field(description="the .npz file")]
    label_names: Annotated[dict[str, str] | None, Field(description="what the labels mean: {'0': adipose}")] = None

    _blocks: dict[str, Blocks] | None = PrivateAttr(default=None)

    def records(self) -> Iterator[Record]:
        """Train, validation, test, each in order; keys `train/0`. Raises ChainError (65, 66) naming the member."""
        with open_members(self.path, [f"{split}_images" for split in SPLITS]) as members:
            for split, meaning in SPLITS.items():
                if (images := members.get(f"{split}_images")) is None:
                    continue
                check_images(self.path, images.name, images.shape, images.dtype)
                n = images.shape[0]
                labels = [""] * n
                if (given := members.get(f"{split}_labels")) is not None:
                    check_labels(self.path, given.name, given.shape, n)
                    labels = label_texts(self.path, given.name, given.read_all(), n, self.label_names)
                for row, label in enumerate(labels):
                    yield Record(f"{split}/{row}", label, split=meaning)

    def content(self, record: Record) -> np.ndarray:
        """(H, W) or (H, W, C) pixels of one row."""
        split, row = record.key.split("/")
        return self._open()[split].row(int(row))

    def held(self, records: Iterable[Record]) -> str:
        """See Reader."""
        return held_sha256([self.path], ALONE_BYTES)

    def _open(self) -> dict[str, Blocks]:
        with _OPENING:
            if self._blocks is None:
                archive = zipfile.ZipFile(self.path)
                self._blocks = {}
                for split in SPLITS:
                    if f"{split}_images.npy" in archive.namelist():
                        images = NpyMember(self.path, archive, f"{split}_images")
                        row_bytes = check_images(self.path, images.name, images.shape, images.dtype)
                        self._blocks[split] = Blocks(images.read, images.shape[0], row_bytes)
            return self._blocks
