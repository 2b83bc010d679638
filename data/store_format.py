"""The patch store on disk: an ordinary HDF5 file whose datasets are all contiguous, so that they can be memory-mapped.

    bytes          (B,) uint8    every patch end to end, raw little-endian pixels (H, W, C) or a JPEG file
    offsets        (N + 1,) uint64   patch r is bytes[offsets[r]:offsets[r + 1]]
    codec          (N,) uint8    0 raw, 1 JPEG
    ids            (N,) uint64   unique
    order          (N,) int64    argsort of ids
    pixels         (N, 2) uint64 digest of the decoded pixels
    keys/bytes, keys/offsets     the place of each patch in its source, UTF-8, end to end
    columns/NAME/codes (N,) int32, columns/NAME/names (K,) UTF-8      source, patient, slide, site
    source_labels/NAME/...       label, split, part: as the source says, read by `data.source_labels` only

Root attributes: format, version, mode, size_px, classes (JSON). Each dataset carries its `sha256`.
Texts are of fixed length throughout: nothing lies in HDF5's heaps.
"""

import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.errors import ChainError, ExitCode
from data.hdf5 import HDF5_ERRORS, attribute, damaged, dataset, h5py, open_file
from data.modes import CHANNELS, DTYPE, MAX_SIZE_PX, Mode
from data.table import Column

FORMAT, VERSION = "patchchain store", 1
RAW, JPEG = 0, 1
MODES: dict[object, Mode] = {mode: mode for mode in CHANNELS}
COLUMNS = ("source", "patient", "slide", "site")
SOURCE_LABELS = ("label", "split", "part")
NAMES = (
    *("bytes", "offsets", "codec", "ids", "order", "pixels", "keys/bytes", "keys/offsets"),
    *(f"columns/{name}/{part}" for name in COLUMNS for part in ("codes", "names")),
    *(f"source_labels/{name}/{part}" for name in SOURCE_LABELS for part in ("codes", "names")),
)


@dataclass(frozen=True)
class MappedStore:
    """An opened store: read-only views of one memory map of the file. No handle is kept, nothing is loaded.

    whole: (file size,) uint8; start: where `bytes` begins in it; views: dataset name -> array.
    patch_bytes: of one raw patch.
    """

    map: mmap.mmap
    whole: np.ndarray
    start: int
    mode: Mode
    size_px: int
    classes: tuple[str, ...]
    views: dict[str, np.ndarray]
    digests: dict[str, str]
    patch_bytes: int

    def __getitem__(self, name: str) -> np.ndarray:
        return self.views[name]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every patch."""
        return self.size_px, self.size_px, CHANNELS[self.mode]

    def forget(self) -> None:
        """Let this process's share of the file's pages go. They stay in the system's cache: the next read maps them."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.map.madvise(mmap.MADV_DONTNEED)

    @property
    def dtype(self) -> np.dtype:
        """Of every patch's pixels."""
        return DTYPE[self.mode]

    def column(self, name: str) -> Column:
        """A text column, e.g. `columns/patient`."""
        return Column(self.views[f"{name}/codes"], np.char.decode(self.views[f"{name}/names"], "utf-8"))


def map_store(path: Path) -> MappedStore:
    """Open a store. Raises ChainError: 66 absent, 76 truncated or damaged, 78 no store or a newer one."""
    with open_file(path, ExitCode.DAMAGED) as file:
        mode, size_px, classes = _attributes(path, file)
        found = {name: _place(path, file, name) for name in NAMES}
    with path.open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    whole = np.frombuffer(mapped, np.uint8)
    try:
        views = {name: _view(whole, place) for name, place in found.items()}
    except (TypeError, ValueError) as error:
        raise _damaged(path, f"a dataset reaches beyond its end: {error}") from error
    store = MappedStore(
        mapped,
        whole,
        found["bytes"].start,
        mode,
        size_px,
        tuple(classes),
        views,
        {name: place.sha256 for name, place in found.items()},
        size_px * size_px * CHANNELS[mode] * DTYPE[mode].itemsize,
    )
    n, offsets = len(store["ids"]), store["offsets"]
    if len(offsets) != n + 1 or len(store["codec"]) != n or int(offsets[-1]) != len(store["bytes"]):
        raise _damaged(path, f"its parts do not fit: {n:,} ids, {len(offsets):,} offsets")
    return store


def _attributes(path: Path, file: h5py.File) -> tuple[Mode, int, list[str]]:
    try:
        found = {name: attribute(file, name) for name in ("format", "version", "mode", "size_px", "classes")}
        classes = json.loads(str(found["classes"] or "null"))
    except HDF5_ERRORS as error:
        raise damaged(path, "/", error, ExitCode.DAMAGED) from error
    if found["format"] != FORMAT:
        raise ChainError(f"{path} is no patch store of ours", "its format attribute says nothing known",
                         "for patches in other HDF5 files use kind: hdf5", ExitCode.MISMATCH)  # fmt: skip
    if found["version"] != VERSION:
        raise ChainError(f"{path} has format version {found['version']}",
                         f"this program reads version {VERSION}", "use the program that wrote it",
                         ExitCode.MISMATCH)  # fmt: skip
    mode, size_px = MODES.get(found["mode"]), found["size_px"]
    if mode is None or not isinstance(size_px, int) or not 1 <= size_px <= MAX_SIZE_PX or not isinstance(classes, list):
        raise _damaged(path, "an attribute is missing or wrong")
    return mode, size_px, [str(name) for name in classes]


class _Place(NamedTuple):
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype
    sha256: str


def _place(path: Path, file: h5py.File, name: str) -> _Place:
    data = dataset(file, name, ExitCode.DAMAGED)
    try:
        # an empty dataset has no place
        start = data.id.get_offset() if data.chunks is None and data.size else None
        digest = str(attribute(data, "sha256"))
    except HDF5_ERRORS as error:
        raise damaged(path, name, error, ExitCode.DAMAGED) from error
    if data.size and start is None:
        raise _damaged(path, f"dataset {name!r} is not contiguous")
    # a fixed-length text as plain bytes
    dtype = np.dtype(f"S{data.dtype.itemsize}") if data.dtype.kind == "S" else data.dtype
    return _Place(start or 0, data.shape, dtype, digest)


def _view(whole: np.ndarray, at: _Place) -> np.ndarray:
    return np.ndarray(at.shape, at.dtype, whole, at.start) if 0 not in at.shape else np.empty(at.shape, at.dtype)


def _damaged(path: Path, why: str) -> ChainError:
    return ChainError(f"{path} is damaged", why, "make it again: `rerun RUN --from data/store`", ExitCode.DAMAGED)
