"""HDF5 in the PatchCamelyon layout: `x` (N, H, W, C), `y` one label a patch, perhaps in a file of its own."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from data.errors import ChainError, ExitCode
from data.files.blocks import Blocks
from data.files.held import ALONE_BYTES, held_sha256
from data.patches.record import Record
from data.readers._arrays import check_images, check_labels, label_texts, refuse_lost
from data.readers.base import Reader

if TYPE_CHECKING:
    import h5py

_OPENING = threading.Lock()


class Hdf5(Reader):
    """Arrays of patches and labels in HDF5 files."""

    kind: Literal["hdf5"] = "hdf5"
    path: Annotated[Path, Field(description="the file that holds the patches")]
    x: Annotated[str, Field(description="dataset of the patches")] = "x"
    y: Annotated[str | None, Field(description="dataset of the labels; null: there are none")] = "y"
    labels_path: Annotated[Path | None, Field(description="the file that holds the labels; default: the same")] = None
    patient: Annotated[str | None, Field(description="dataset of the patients, beside the labels")] = None
    slide: Annotated[str | None, Field(description="dataset of the slides, beside the labels")] = None
    label_names: Annotated[dict[str, str] | None, Field(description="what the labels mean: {'0': normal}")] = None

    _blocks: Blocks | None = PrivateAttr(default=None)

    def records(self) -> Iterator[Record]:
        """Rows in order; the key is the row's number. Raises ChainError (65, 66) naming file and dataset."""
        from data.files.hdf5 import dataset, open_file, read, read_texts

        with open_file(self.path) as file:
            images = dataset(file, self.x)
            check_images(self.path, self.x, images.shape, images.dtype)
            n = images.shape[0]
        beside = self.labels_path or self.path
        labels = patients = slides = [""] * n
        with open_file(beside) as file:
            if self.y is not None:
                data = dataset(file, self.y)
                check_labels(beside, self.y, data.shape, n)
                varying = data.dtype.kind == "O"
                values = np.array(read_texts(data)) if varying else read(data, 0, data.shape[0])
                labels = label_texts(beside, self.y, values, n, self.label_names)
            if self.patient is not None:
                patients = self._one_each(beside, self.patient, dataset(file, self.patient), n)
            if self.slide is not None:
                slides = self._one_each(beside, self.slide, dataset(file, self.slide), n)
        for row, (label, patient, slide) in enumerate(zip(labels, patients, slides, strict=True)):
            yield Record(str(row), label, patient, slide)

    def content(self, record: Record) -> np.ndarray:
        """(H, W) or (H, W, C) pixels of one row."""
        return self._open().row(int(record.key))

    def held(self, records: Iterable[Record]) -> str:
        """See Reader. The labels are in the listing."""
        return held_sha256([self.path], ALONE_BYTES)

    def _open(self) -> Blocks:
        from data.files.hdf5 import dataset, open_handle, read

        with _OPENING:
            if self._blocks is None:
                images: h5py.Dataset = dataset(open_handle(self.path), self.x)
                row_bytes = check_images(self.path, self.x, images.shape, images.dtype)
                chunk = images.chunks[0] if images.chunks else 1
                self._blocks = Blocks(lambda a, b: read(images, a, b), images.shape[0], row_bytes, multiple=chunk)
            return self._blocks

    def _one_each(self, path: Path, name: str, data: "h5py.Dataset", n: int) -> list[str]:
        from data.files.hdf5 import read_texts

        rows = data.shape[0] if data.shape else 0
        if rows != n:
            raise ChainError(f"{path}: dataset {name!r} has {rows:,} rows for {n:,} patches",
                             "there must be one a patch", "name the right dataset", ExitCode.BAD_DATA)  # fmt: skip
        texts = read_texts(data)
        named = {text: text.strip() for text in dict.fromkeys(texts)}  # one text for all patches of a patient
        refuse_lost(path, name, named.values(), "write an empty text where it is unknown")
        return [named[text] for text in texts]
