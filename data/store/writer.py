"""The patch store, write side: patches are streamed through a spool, the file is written aside, verified, renamed."""

import contextlib
import hashlib
import json
import os
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from data import fault
from data.files.atomic import replacing
from data.files.hdf5 import fixed_text, h5py
from data.patches.listing import Listing, viewed
from data.patches.record import Record
from data.patches.reference import Reference
from data.patches.table import Column, PatchTable
from data.pixels.modes import CHANNELS, DTYPE, Mode
from data.pixels.windows import Window
from data.store.format import COLUMNS, FORMAT, JPEG, RAW, REFERENCE, SOURCE_LABELS, VERSION
from data.store.patch_store import PatchStore
from data.store.source_labels import SourceLabels
from data.store.table_builder import TableBuilder

COPY_BYTES = 32 << 20
ALIGN = 64  # arrays begin on a cache line, so that views of them are aligned


class StoreWriter:
    """Takes patches one after another; see `writing_store`."""

    def __init__(self, mode: Mode, size_px: int, depth: int, spool: IO[bytes], listing: Listing) -> None:
        self._mode, self._size_px, self._depth, self._spool = mode, size_px, depth, spool
        self._table = TableBuilder(listing)
        self._ends = array("Q", [0])
        self._codec = bytearray()
        self._digest = hashlib.sha256()
        self._bytes = 0
        self.classes: tuple[str, ...] = ()
        self.windows: tuple[Window, ...] = ()

    def __len__(self) -> int:
        return len(self._codec)

    @property
    def n_bytes(self) -> int:
        """Of the patches that were added so far."""
        return self._bytes

    def add(
        self,
        patch_id: int,
        listed: Record | int,
        source: str,
        part: str,
        digest: tuple[int, int],
        content: bytes | np.ndarray | Reference,
    ) -> None:
        """Append one patch.

        listed: what is known of it, or its row in the listing this was begun with, after all that were added before.
        content: a JPEG file that decodes strictly to this store's shape, (H, W, C) pixels, or where such pixels lie.
        """
        if isinstance(content, np.ndarray):
            assert content.shape == (self._size_px, self._size_px, CHANNELS[self._mode] * self._depth)
            assert content.dtype == DTYPE[self._mode]
            payload = content.tobytes()
            self._codec.append(RAW)
        elif isinstance(content, Reference):
            payload = content.payload
            self._codec.append(REFERENCE)
        else:
            payload = content
            self._codec.append(JPEG)
        self._spool.write(payload)
        self._digest.update(payload)
        self._bytes += len(payload)
        self._ends.append(self._bytes)
        row = listed if isinstance(listed, int) else self._table.listing.add(listed)
        self._table.add(row, patch_id, source, part, digest)

    def table(self) -> PatchTable:
        """What was added; nothing can be added any more."""
        return self._table.table()

    def labels(self) -> SourceLabels:
        """Labels of what was added."""
        return self._table.labels()

    def write(self, path: Path) -> None:
        """The whole store to a new file."""
        table, labels = self._table.table(), self._table.labels()
        order = np.argsort(table.ids, kind="stable").astype(np.int64, copy=False)
        assert len(order) > 0, "there are some"
        assert np.all(np.diff(table.ids[order]) > 0), "ids are unique"
        key_bytes, key_offsets = self._table.keys()
        self._spool.seek(0)
        with h5py.File(path, "w", alignment_threshold=ALIGN, alignment_interval=ALIGN) as file:
            file.attrs["format"] = fixed_text(FORMAT)
            file.attrs["version"] = VERSION
            file.attrs["mode"] = fixed_text(self._mode)
            file.attrs["size_px"] = self._size_px
            if self._depth != 1:
                file.attrs["depth"] = self._depth
            if self.windows:
                file.attrs["windows"] = fixed_text(json.dumps([window.model_dump() for window in self.windows]))
            numbers = self._table.numbers()
            if numbers:
                file.attrs["numbers"] = fixed_text(json.dumps(list(numbers)))
            file.attrs["classes"] = fixed_text(json.dumps(list(self.classes), ensure_ascii=False))
            # every row of `bytes` is written: filling it with zeros before would write it twice
            patches = file.create_dataset("bytes", (self._bytes,), np.uint8, fill_time="never", track_times=False)
            for start in range(0, self._bytes, COPY_BYTES):
                block = np.frombuffer(self._spool.read(COPY_BYTES), np.uint8)
                patches[start : start + len(block)] = block
            patches.attrs["sha256"] = fixed_text(self._digest.hexdigest())
            _write(file, "offsets", viewed(self._ends, np.uint64))
            _write(file, "codec", viewed(self._codec, np.uint8))
            _write(file, "ids", table.ids)
            _write(file, "order", order)
            _write(file, "pixels", table.pixels)
            _write(file, "keys/bytes", key_bytes)
            _write(file, "keys/offsets", key_offsets)
            for name in COLUMNS:
                _write_column(file, f"columns/{name}", getattr(table, name))
            for name in SOURCE_LABELS:
                _write_column(file, f"source_labels/{name}", getattr(labels, name))
            for name, column in numbers.items():
                _write(file, f"numbers/{name}", column)


@contextlib.contextmanager
def writing_store(
    path: Path, mode: Mode, size_px: int, depth: int = 1, listing: Listing | None = None
) -> Iterator[StoreWriter]:
    """Yield a writer; when the block ends well, `path` holds the whole, verified store, else it is not touched.

    Set `writer.classes`, and for HU `writer.windows`, before the end. listing: of patches that are added by their rows
    in it. Memory grows by some 70 bytes a patch beside the listing. Disk needs twice the patches for a moment: the size
    of a contiguous dataset must be known before it is written.
    Raises ChainError (76) when what is read back is not what was written.
    """
    # no name: the system takes it back even from a killed writer
    with tempfile.TemporaryFile(dir=path.parent, buffering=1 << 20) as spool, replacing(path) as part:
        writer = StoreWriter(mode, size_px, depth, spool, Listing() if listing is None else listing)
        yield writer
        fault.point("store.spooled")
        writer.write(part)
        fault.written("store.mid_write", part)
        _drop_from_cache(part)
        PatchStore(part).verify()


def _write(file: h5py.File, name: str, values: np.ndarray) -> None:
    assert values.dtype.byteorder != ">", "the file is little-endian"
    data = file.create_dataset(name, data=values, track_times=False)
    data.attrs["sha256"] = fixed_text(hashlib.sha256(values.data if values.size else b"").hexdigest())


def _write_column(file: h5py.File, name: str, column: Column) -> None:
    _write(file, f"{name}/codes", column.codes)
    texts = [str(text).encode() for text in column.names]
    width = max(map(len, texts), default=1)
    # the type says UTF-8 to whoever reads the file; the bytes are the same
    _write(file, f"{name}/names", np.array(texts, h5py.string_dtype("utf-8", width)))


def _drop_from_cache(path: Path) -> None:
    """Ask that the verification read the disk, not what memory still holds of the writing."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
