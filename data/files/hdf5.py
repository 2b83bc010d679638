"""The one way HDF5 files are opened here, foreign ones included: nothing outside the file is ever followed.

An HDF5 file may name other files (links, external storage, virtual datasets), code (filter plugins) and sizes it
does not have. `open_file` and `dataset` refuse each of these by name before anything is read.
"""

import contextlib
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

# must be in the environment when the HDF5 library starts: no shared library is ever loaded as a filter
os.environ["HDF5_PLUGIN_PRELOAD"] = "::"

import h5py as h5py

from data.errors import ChainError, ExitCode
from data.files.hdf5_texts import isolated_texts

# and if something imported h5py before us: no folder to look for plugins in
for _ in range(h5py.h5pl.size()):
    h5py.h5pl.remove(0)

FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
BOMB_BYTES = 16 << 20
BOMB_RATIO = 1000  # deflate gives 1,032 at most: what declares more holds nothing, or one value over and over
CHUNK_BYTES = 1 << 30
TEXTS_AT_ONCE = 65_536
HDF5_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError)


@contextlib.contextmanager
def open_file(path: Path, code: ExitCode = ExitCode.BAD_DATA) -> Iterator[h5py.File]:
    """Open for reading. Raises ChainError: 66 when absent, `code` when truncated or not HDF5."""
    file = open_handle(path, code)
    try:
        yield file
    finally:
        file.close()


def open_handle(path: Path, code: ExitCode = ExitCode.BAD_DATA) -> h5py.File:
    """As `open_file`, for a caller that keeps the handle."""
    if not path.is_file():
        raise ChainError(f"{path} is missing", "no file lies there", "correct the path", ExitCode.MISSING)
    try:
        return h5py.File(path, "r", locking="best-effort")
    except HDF5_ERRORS as error:
        size, stored = path.stat().st_size, re.search(r"stored_eof = (\d+)", str(error))
        why = f"it has {size:,} of {int(stored[1]):,} bytes" if stored else f"HDF5 says: {_brief(error)}"
        raise ChainError(f"{path} is truncated or not HDF5", why, "copy or make the file again", code) from error


def dataset(file: h5py.File, name: str, code: ExitCode = ExitCode.BAD_DATA) -> h5py.Dataset:
    """One dataset, by walking hard links only. Raises ChainError: 66 when absent, `code` when refused or damaged."""
    here: h5py.Group = file
    steps = name.strip("/").split("/")
    try:
        for depth, step in enumerate(steps):
            link = here.get(step, getlink=True) if step not in ("", ".", "..") else None
            if link is None:
                raise ChainError(
                    f"{file.filename} has no dataset {name!r}",
                    f"it holds {', '.join(sorted(here)[:8]) or 'nothing'} in {here.name}",
                    "name the dataset in the configuration as the file does",
                    ExitCode.MISSING,
                )
            if not isinstance(link, h5py.HardLink):
                raise _refused(file, name, "a link to another place or file is not followed", code)
            item = here[step]
            last = depth == len(steps) - 1
            if not isinstance(item, h5py.Dataset if last else h5py.Group):
                raise _refused(file, name, f"it is a {type(item).__name__.lower()}", code)
            here = item
        _check(file, name, here, code)
    except HDF5_ERRORS as error:
        raise damaged(Path(file.filename), name, error, code) from error
    return here


def attribute(item: h5py.HLObject, name: str) -> str | int | None:
    """One scalar attribute, a whole number or a text of fixed length; None when absent. Raises what h5py raises.

    Texts of variable length lie in a heap whose damage can crash the HDF5 library: TypeError, before it is touched.
    """
    if name not in item.attrs:
        return None
    found = item.attrs.get_id(name)
    if found.shape != () or found.dtype.kind not in "iuS":
        raise TypeError(f"attribute {name!r} is neither a number nor a text of fixed length")
    value = np.empty((), found.dtype)
    found.read(value)
    return value.item().decode() if found.dtype.kind == "S" else int(value)


def numbers(item: h5py.HLObject, name: str, longest: int) -> tuple[float, ...] | None:
    """One attribute of numbers, a scalar or a short list; None when absent. Raises what h5py raises.

    TypeError for anything else, before it is touched (see `attribute`).
    """
    if name not in item.attrs:
        return None
    found = item.attrs.get_id(name)
    if len(found.shape) > 1 or int(np.prod(found.shape)) > longest or found.dtype.kind not in "iuf":
        raise TypeError(f"attribute {name!r} is {found.dtype} {found.shape}, not up to {longest} numbers")
    values = np.empty(found.shape, found.dtype)
    found.read(values)
    return tuple(float(value) for value in values.ravel())


def fixed_text(text: str) -> np.ndarray:
    """A text as `attribute` reads it: UTF-8 of fixed length."""
    return np.array(text.encode(), h5py.string_dtype("utf-8", max(1, len(text.encode()))))


def damaged(path: Path, name: str, error: Exception, code: ExitCode = ExitCode.BAD_DATA) -> ChainError:
    """The error for a dataset that opens but cannot be read."""
    return ChainError(
        f"{path}: dataset {name!r} cannot be read", f"HDF5 says: {_brief(error)}", "copy or make the file again", code
    )


def read(data: h5py.Dataset, start: int, stop: int) -> np.ndarray:
    """Rows [start, stop) of a dataset got by `dataset`. Raises ChainError (65) naming file and dataset."""
    try:
        rows: np.ndarray = data[start:stop]
    except HDF5_ERRORS as error:
        raise damaged(Path(data.file.filename), data.name, error) from error
    return rows


def read_arrays(
    path: Path, names: Sequence[str], code: ExitCode, optional: Sequence[str] = (), mapped: bool = False
) -> dict[str, np.ndarray]:
    """Whole datasets of a file of our own, those in `optional` where they are there. Raises ChainError (66, `code`).

    mapped: not loaded but views of the file, read-only, where they lie in it in one piece.
    """
    found = {}
    with open_file(path, code) as file:
        for name in (*names, *optional):
            try:
                data = dataset(file, name, code)
            except ChainError as error:
                if error.code == ExitCode.MISSING and name in optional:
                    continue
                raise
            if h5py.check_string_dtype(data.dtype) is not None:
                raise _refused(file, name, "numbers are expected, not texts", code)
            try:
                found[name] = _mapped(path, data) if mapped else data[:]
            except HDF5_ERRORS as error:
                raise damaged(path, name, error, code) from error
    return found


def _mapped(path: Path, data: h5py.Dataset) -> np.ndarray:
    # an empty dataset has no place, nor has one in chunks
    start = data.id.get_offset() if data.chunks is None and data.size else None
    found: np.ndarray = data[:] if start is None else np.asarray(np.memmap(path, data.dtype, "r", start, data.shape))
    return found


class Laid(NamedTuple):
    """Where a dataset lies in its file; start None: nowhere, being empty."""

    start: int | None
    shape: tuple[int, ...]
    dtype: np.dtype


def laid_out(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Laid:
    """Make a contiguous dataset, of which the values are written later, through `writable`."""
    data = group.create_dataset(name, shape, dtype)
    if data.size:
        data[(0,) * data.ndim] = 0  # only what is written to has a place, and one value is enough
    return Laid(data.id.get_offset() if data.size else None, data.shape, dtype)


def writable(path: Path, places: Sequence[Laid]) -> list[np.ndarray]:
    """Views of a closed file's datasets: what is written to them is in the file. Raises OSError without room for it."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            # holes of the file are filled as they are written to: if there were no room then, no error could be told
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
    return [
        np.empty(shape, dtype) if start is None else np.asarray(np.memmap(path, dtype, "r+", start, shape))
        for start, shape, dtype in places
    ]


def read_texts(data: h5py.Dataset) -> list[str]:
    """A one-dimensional dataset of texts or whole numbers, as texts. Raises ChainError (65)."""
    if data.ndim != 1 or data.dtype.kind not in "iuSO":
        raise _refused(data.file, data.name, f"texts or whole numbers are expected, not {data.dtype} {data.shape}")
    if data.dtype.kind == "O":
        return isolated_texts(Path(data.file.filename), data.name, len(data))
    try:
        texts: list[str] = []
        known: dict[bytes | int, str] = {}  # a name that stands at a million patches is one text
        for start in range(0, len(data), TEXTS_AT_ONCE):
            values = read(data, start, min(len(data), start + TEXTS_AT_ONCE)).tolist()
            for value in dict.fromkeys(values):
                if value not in known:
                    known[value] = value.decode() if isinstance(value, bytes) else str(value)
            texts += [known[value] for value in values]
        return texts
    except UnicodeDecodeError as error:
        raise _refused(data.file, data.name, "its texts are not UTF-8") from error


def _check(file: h5py.File, name: str, data: h5py.Dataset, code: ExitCode) -> None:
    made = data.id.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL or data.is_virtual:
        raise _refused(file, name, "it is virtual: its values lie in other files", code)
    if made.get_layout() == h5py.h5d.CONTIGUOUS and made.get_external_count():
        raise _refused(file, name, "its values lie in another file", code)
    filters = [made.get_filter(i)[0] for i in range(made.get_nfilters())]
    if strange := [number for number in filters if number not in FILTERS]:
        raise _refused(file, name, f"filter {strange[0]} is not among {', '.join(FILTERS.values())}", code)
    text = h5py.check_string_dtype(data.dtype) is not None
    if data.dtype.kind not in "biufS" and not text:
        raise _refused(file, name, f"its type {data.dtype} is neither numbers nor text", code)
    # a shape with a zero in it declares nothing and can still claim 2^60 rows
    declared = math.prod(max(1, side) for side in data.shape or (0,)) * data.dtype.itemsize
    stored = data.id.get_storage_size()
    if declared > BOMB_BYTES and declared > BOMB_RATIO * stored:
        raise _refused(file, name, f"it declares {declared:,} bytes and stores {stored:,}", code)
    chunk = math.prod(data.chunks or (0,)) * data.dtype.itemsize
    if chunk > CHUNK_BYTES:
        raise _refused(file, name, f"one of its chunks has {chunk:,} bytes, and is read whole or not at all", code)


def _refused(file: h5py.File, name: str, why: str, code: ExitCode = ExitCode.BAD_DATA) -> ChainError:
    return ChainError(
        f"{file.filename}: dataset {name!r} is refused", why, "copy it into a plain dataset of the same file", code
    )


def _brief(error: BaseException) -> str:
    return (str(error.args[0] if error.args else "").splitlines() or [""])[0][:200] or type(error).__name__
