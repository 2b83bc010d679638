"""A patch that stays in the store of its unit: what is kept of it is where in that file its bytes lie.

That is enough to read it with one `open` and one `pread`: to open a store as HDF5 costs hundreds of times as much, and
patches drawn at random from 10^5 files would pay that nearly every time. Files are read, not mapped: one that is cut or
goes away while it is read is an error to be told, where a map would end the process.
"""

import json
import math
import os
import posixpath
import stat
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import canonical_json
from data.files.recent import Recent
from data.pixels.bad_patch import BadPatch
from data.pixels.damaged_reference import damaged_reference
from data.pixels.decode import jpeg_size_px, unpacked
from data.pixels.modes import CHANNELS, DTYPE, MAX_DEPTH, MAX_SIZE_PX, Mode

MOST_OPEN = 128  # half of the handles that the meanest system gives a process
MOST_JPEG_BYTES = 256 << 20  # as of an image file
HDF5 = b"\x89HDF\r\n\x1a\n"
AGAIN = "make the store again from where it lies now: `rerun RUN --from data/store`"


class Link(NamedTuple):
    """file_bytes: of the whole file; start, stop: the patch's own among them; jpeg: a JPEG file, else raw pixels."""

    path: str
    file_bytes: int
    start: int
    stop: int
    jpeg: bool
    mode: Mode
    size_px: int
    depth: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the patch."""
        return self.size_px, self.size_px, CHANNELS[self.mode] * self.depth

    def payload(self) -> bytes:
        """What `read_link` reads this patch again by: canonical JSON. See `data.patches.reference.IN_STORE`."""
        return canonical_json({"store": self._asdict()})


def read_link(payload: bytes) -> np.ndarray:
    """(H, W, C) uint8, uint16 or int16, the caller's own, of what `Link.payload` wrote, read from its store now.

    Raises ChainError (66 the store cannot be opened, 74 not read, 76 the reference is damaged), BadPatch when the file
    is not the one that was linked to, as far as its size and the patch's bytes tell: its digest is the caller's.
    """
    link = _parsed(payload)
    file = FILES((link.path, link.file_bytes))
    try:
        stored = os.pread(file.handle, link.stop - link.start, link.start)
    except OSError as error:
        raise ChainError(f"{link.path} cannot be read", error.strerror or str(error),
                         "see to the disk that it lies on, then go on", ExitCode.IO) from error  # fmt: skip
    try:
        if link.jpeg and jpeg_size_px(stored) != link.shape[:2]:
            raise ValueError("it is a JPEG of another size")
        return unpacked(stored, 0, link.stop - link.start, link.jpeg, link.mode, link.shape)
    except (ValueError, TypeError) as error:
        raise BadPatch(f"{link.path} is damaged there: {error}") from error


class _File:
    """A handle that closes when nobody holds this any more: a thread may read from what `FILES` has let go."""

    def __init__(self, path: str) -> None:
        # a pipe would be waited for
        self.handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # kept here: modules are emptied at the exit
        if hasattr(self, "handle"):
            close(self.handle)


def _opened(key: tuple[str, int]) -> _File:
    path, size = key
    try:
        file = _File(path)
        about = os.fstat(file.handle)
        regular = stat.S_ISREG(about.st_mode)
        begins = os.pread(file.handle, len(HDF5), 0) if regular else b""
    except (OSError, ValueError) as error:
        raise ChainError(
            f"{path} cannot be opened; patches lie in it (encoding: link)",
            getattr(error, "strerror", None) or str(error),
            f"put it back, or {AGAIN}",
            ExitCode.MISSING,
        ) from error
    if begins != HDF5:
        raise BadPatch(f"{path} is no patch store")
    if about.st_size != size:
        raise BadPatch(f"{path} has changed: it has {about.st_size:,} bytes, it had {size:,}")
    return file


FILES = Recent(_opened, MOST_OPEN)  # of this process


def _parsed(payload: bytes) -> Link:
    """A reference, checked: a file may hold anything."""
    try:
        link = Link(**json.loads(payload)["store"])
        numbers = (link.file_bytes, link.start, link.stop, link.size_px, link.depth)
        good = (
            isinstance(link.path, str)
            and posixpath.isabs(link.path)
            and "\0" not in link.path
            and set(map(type, numbers)) == {int}
            and type(link.jpeg) is bool
            and 0 <= link.start < link.stop <= link.file_bytes < 1 << 63
            and 1 <= link.size_px <= MAX_SIZE_PX
            and 1 <= link.depth <= (MAX_DEPTH if link.mode == "hu16" else 1)
            and link.stop - link.start <= (MOST_JPEG_BYTES if link.jpeg else _raw_bytes(link))
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise damaged_reference("a store", str(error)[:160], AGAIN) from error
    if not good:
        raise damaged_reference("a store", "its values are none of a patch", AGAIN)
    return link


def _raw_bytes(link: Link) -> int:
    return math.prod(link.shape) * DTYPE[link.mode].itemsize
