"""The patch store on disk: an ordinary HDF5 file whose datasets are all contiguous, so that they can be memory-mapped.

    bytes          (B,) uint8    every patch end to end, raw little-endian pixels (H, W, C) or a JPEG file
    offsets        (N + 1,) uint64   patch r is bytes[offsets[r]:offsets[r + 1]]
    codec          (N,) uint8    0 raw, 1 JPEG, 2 reference: JSON, where in which slide or store the pixels are
    ids            (N,) uint64   unique
    order          (N,) int64    argsort of ids
    pixels         (N, 2) uint64 digest of the decoded pixels
    keys/bytes, keys/offsets     the place of each patch in its source, UTF-8, end to end
    columns/NAME/codes (N,) int32, columns/NAME/names (K,) UTF-8      source, patient, slide, site
    source_labels/NAME/...       label, split, part: as the source says, read by `data.store.source_labels` only
    numbers/NAME   (N,) float64  what was measured of each patch, NaN unknown; NAMEs in the attribute `numbers`

Root attributes: format, version, mode, size_px, classes (JSON); where there is something to say, depth (slices of a
patch), windows (JSON: through which its HU are to be seen) and numbers (JSON). Each dataset carries its `sha256`.
Texts are of fixed length throughout: nothing lies in HDF5's heaps.
"""

import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.hdf5 import HDF5_ERRORS, attribute, damaged, dataset, h5py, open_file
from data.patches.table import Column
from data.pixels.modes import CHANNELS, DTYPE, MAX_DEPTH, MAX_SIZE_PX, Mode
from data.pixels.windows import Window, windows_of

FORMAT, VERSION = "patchchain store", 1
RAW, JPEG, REFERENCE = 0, 1, 2
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
    depth: slices of a patch; numbers: names of the number columns.
    """

    map: mmap.mmap
    whole: np.ndarray
    start: int
    mode: Mode
    size_px: int
    depth: int
    windows: tuple[Window, ...]
    classes: tuple[str, ...]
    numbers: tuple[str, ...]
    views: dict[str, np.ndarray]
    digests: dict[str, str]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.views[name]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every patch."""
        return self.size_px, self.size_px, CHANNELS[self.mode] * self.depth

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
        about = _attributes(path, file)
        found = {name: _place(path, file, name) for name in (*NAMES, *(f"numbers/{name}" for name in about.numbers))}
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
        *about,
        views,
        {name: place.sha256 for name, place in found.items()},
    )
    n, offsets = len(store["ids"]), store["offsets"]
    whole_columns = all(len(store[f"numbers/{name}"]) == n for name in about.numbers)
    if (
        not whole_columns
        or len(offsets) != n + 1
        or len(store["codec"]) != n
        or int(offsets[-1]) != len(store["bytes"])
    ):
        raise _damaged(path, f"its parts do not fit: {n:,} ids, {len(offsets):,} offsets")
    return store


class _About(NamedTuple):
    mode: Mode
    size_px: int
    depth: int
    windows: tuple[Window, ...]
    classes: tuple[str, ...]
    numbers: tuple[str, ...]


def _attributes(path: Path, file: h5py.File) -> _About:
    try:
        wanted = ("format", "version", "mode", "size_px", "depth", "windows", "classes", "numbers")
        found = {name: attribute(file, name) for name in wanted}
        classes = json.loads(str(found["classes"] or "null"))
        numbers = json.loads(str(found["numbers"] or "[]"))
        windows = windows_of(json.loads(str(found["windows"] or "[]")))
    except HDF5_ERRORS as error:
        raise damaged(path, "/", error, ExitCode.DAMAGED) from error
    if found["format"] != FORMAT:
        raise ChainError(f"{path} is no patch store of ours", "its format attribute says nothing known",
                         "for patches in other HDF5 files use kind: hdf5", ExitCode.MISMATCH)  # fmt: skip
    if found["version"] != VERSION:
        raise ChainError(f"{path} has format version {found['version']}",
                         f"this program reads version {VERSION}", "use the program that wrote it",
                         ExitCode.MISMATCH)  # fmt: skip
    mode, size_px, depth = MODES.get(found["mode"]), found["size_px"], found["depth"] or 1
    sizes = isinstance(size_px, int) and 1 <= size_px <= MAX_SIZE_PX
    sizes = sizes and isinstance(depth, int) and 1 <= depth <= MAX_DEPTH
    sizes = sizes and (not windows or mode == "hu16")
    if mode is None or not sizes or not isinstance(classes, list) or not isinstance(numbers, list):
        raise _damaged(path, "an attribute is missing or wrong")
    return _About(mode, int(str(size_px)), int(str(depth)), windows, tuple(map(str, classes)), tuple(map(str, numbers)))


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
