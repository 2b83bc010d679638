"""Arrays inside `.npz` archives, read row by row without unpickling and without holding them whole."""

import contextlib
import io
import math
import threading
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode

BOMB_BYTES = 16 << 20
BOMB_RATIO = 1000  # deflate gives 1,032 at most, and then of one value over and over
# NumPy takes 10,000, and reads the four gigabytes that a header may claim before it counts them
HEADER_BYTES = 16 << 10
ZIP_ERRORS = (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
# what NumPy's parser of array headers raises besides
HEADER_ERRORS = (*ZIP_ERRORS, SyntaxError, tokenize.TokenError, TypeError, LookupError, ArithmeticError)


class NpyMember:
    """One array of an archive. shape, dtype: as its header says; rows are read forwards, in blocks."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, name: str) -> None:
        self.path, self.name = path, name
        self._archive, self._info = archive, archive.getinfo(f"{name}.npy")
        self._lock = threading.Lock()
        self._row = 0
        self._rewind()
        declared = math.prod(self.shape) * self.dtype.itemsize
        if self._start + declared != self._info.file_size or (
            declared > BOMB_BYTES and declared > BOMB_RATIO * self._info.compress_size
        ):
            raise self._refused(f"it declares {declared:,} bytes and stores {self._info.compress_size:,}")

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows [start, stop). Raises ChainError (65) when the archive is damaged."""
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        with self._lock:
            try:
                if self._row > start:
                    self._rewind()
                # read through, never seek: seeking would switch off the archive's checksum
                while self._row < start:
                    step = min(start - self._row, 1 + (1 << 24) // max(1, row_bytes))
                    self._take(step * row_bytes)
                    self._row += step
                content = self._take((stop - start) * row_bytes)
                if stop == self.shape[0]:
                    self._file.read(1)  # the checksum is compared at the end
                self._row = stop
            except ZIP_ERRORS as error:
                raise self._refused(str(error) or type(error).__name__) from error
        return np.frombuffer(content, self.dtype).reshape(stop - start, *self.shape[1:])

    def read_all(self) -> np.ndarray:
        """The whole array."""
        return self.read(0, self.shape[0]) if self.shape else np.empty((), self.dtype)

    def _take(self, n: int) -> bytes:
        content = self._file.read(n)
        if len(content) != n:
            raise EOFError("it ends early")
        return content

    def _rewind(self) -> None:
        try:
            with self._archive.open(self._info) as file:
                top = io.BytesIO(file.read(HEADER_BYTES))
            version = np.lib.format.read_magic(top)
            if version not in ((1, 0), (2, 0)):
                raise self._refused(f"format version {version} is unknown")
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            self.shape, by_column, self.dtype = header(top)
            self._file = self._archive.open(self._info)
            self._take(top.tell())
        except HEADER_ERRORS as error:
            raise self._refused(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
        self._start, self._row = top.tell(), 0
        if self.dtype.hasobject:
            raise self._refused("it holds pickled objects, which can run code when loaded")
        if by_column and len(self.shape) > 1:
            raise self._refused("it is stored by columns (Fortran order)")

    def _refused(self, why: str) -> ChainError:
        return ChainError(
            f"{self.path}: array {self.name!r} is refused", why, "write it again as a plain array", ExitCode.BAD_DATA
        )


@contextlib.contextmanager
def open_members(path: Path, wanted: list[str]) -> Iterator[dict[str, NpyMember]]:
    """Every array of an archive by name. Raises ChainError: 66 when absent or without any `wanted`, 65 when damaged."""
    if not path.is_file():
        raise ChainError(f"{path} is missing", "no file lies there", "correct `path`", ExitCode.MISSING)
    try:
        archive = zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        raise ChainError(f"{path} is truncated or not .npz", str(error), "copy or make the file again",
                         ExitCode.BAD_DATA) from error  # fmt: skip
    with archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if not set(wanted) & set(names):
            raise ChainError(f"{path} holds none of {', '.join(wanted)}",
                             f"it holds {', '.join(names[:8]) or 'nothing'}", "name them as MedMNIST does",
                             ExitCode.MISSING)  # fmt: skip
        if len(names) != len(set(names)):
            raise ChainError(f"{path} holds an array twice", "which of them is meant is unknown", "write it again",
                             ExitCode.BAD_DATA)  # fmt: skip
        yield {name: NpyMember(path, archive, name) for name in names}
