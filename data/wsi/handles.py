"""Open slides: per process, bounded in number, safe for threads, opened anew after a fork or an error.

A handle of OpenSlide that met an error gives that error for ever after, to every thread. So it is dropped, and a read
that failed while others were reading is tried once more on a handle of its own: only what fails there too is bad.
"""

import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import openslide

from data.errors import ChainError, ExitCode
from data.pixels.bad_patch import BadPatch
from data.wsi.index_files import refuse_ways_out

MOST_OPEN = 16  # a pyramid's handle holds tens of files and megabytes
CACHE_BYTES = 64 << 20  # of all together: two rows of 256 px tiles in a strip of 16,384 px (data.slides.order)
T = TypeVar("T")


class Identity(NamedTuple):
    """Of a file: one replaced under the same name is another slide."""

    path: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(eq=False)
class _Shared:
    """A handle that has met no error, when it is taken. shared: more than one thread was at it since it was idle."""

    handle: openslide.OpenSlide
    users: int = 0
    shared: bool = False


class Handles:
    """At most `most` open slides of this process, the least recently used closed first.

    A handle that is dropped while a thread still reads from it closes when that thread lets go.
    """

    def __init__(self, most: int = MOST_OPEN) -> None:
        assert most > 0
        self.most = most
        self._reset()
        self._inherited: list[object] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def __len__(self) -> int:
        return len(self._open)

    def read(self, path: Path, work: Callable[[openslide.OpenSlide], T]) -> T:
        """`work(handle)`; after an OpenSlideError that may be another thread's, once more on a handle of its own.

        Raises BadPatch when that fails too, ChainError (66, 65) when the slide cannot be opened at all.
        """
        key = identity(path)
        entry = self._take(key)
        try:
            return work(entry.handle)
        except openslide.OpenSlideError as error:
            if not self._drop(key, entry):
                raise _unreadable(error) from error
        finally:
            self._release(entry)
        del entry
        alone = open_slide(path)
        try:
            return work(alone)
        except openslide.OpenSlideError as error:
            raise _unreadable(error) from error
        finally:
            alone.close()

    def close(self) -> None:
        """Let every handle go."""
        with self._lock:
            self._open.clear()

    def _take(self, key: Identity) -> _Shared:
        with self._lock:
            if key in self._open:
                return self._used(key, self._open[key])
        opened = _Shared(open_slide(Path(key.path), self._cache))  # outside the lock: others read meanwhile
        with self._lock:
            entry = self._used(key, self._open.setdefault(key, opened))
            while len(self._open) > self.most:
                self._open.popitem(last=False)
        return entry

    def _used(self, key: Identity, entry: _Shared) -> _Shared:
        self._open.move_to_end(key)
        entry.users += 1
        entry.shared |= entry.users > 1
        return entry

    def _release(self, entry: _Shared) -> None:
        with self._lock:
            entry.users -= 1
            entry.shared &= entry.users > 0

    def _drop(self, key: Identity, entry: _Shared) -> bool:
        """Hand it out no more. Whether its error may be another thread's."""
        with self._lock:
            if self._open.get(key) is entry:  # another thread may have put a good one in its place
                del self._open[key]
            return entry.shared

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Identity, _Shared] = OrderedDict()
        self._cache = openslide.OpenSlideCache(CACHE_BYTES)

    def _forked(self) -> None:
        # never closed here: a lock inside may have been held by a thread that did not come along
        self._inherited += [self._open, self._cache]
        self._reset()


def open_slide(path: Path, cache: openslide.OpenSlideCache | None = None) -> openslide.OpenSlide:
    """A new handle. cache: of decoded tiles; None: one of its own. Raises ChainError: 66 absent, 65 not a slide."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise OSError(errno.EINVAL, "it is no file")
        refuse_ways_out(path)
        handle = openslide.OpenSlide(path)
        if cache is not None:
            handle.set_cache(cache)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise ChainError(
            f"{path.name} is not a slide",
            "OpenSlide knows no format that it is of: it is another kind of file, or damaged at its beginning",
            "copy it again from its origin, or leave it out (prepare.pattern)",
            ExitCode.BAD_DATA,
        ) from error
    except openslide.OpenSlideError as error:
        raise ChainError(
            f"{path.name} cannot be opened",
            brief(error),
            "copy it again from its origin with all the files that belong to it, or leave it out (prepare.pattern)",
            ExitCode.BAD_DATA,
        ) from error
    except (OSError, ValueError) as error:
        raise ChainError(
            f"{path.name} cannot be opened",
            getattr(error, "strerror", None) or str(error),
            "check that it is there and may be read",
            ExitCode.MISSING,
        ) from error
    return handle


def _unreadable(error: openslide.OpenSlideError) -> BadPatch:
    return BadPatch(f"the slide cannot be read here: {brief(error)}")


def brief(error: Exception) -> str:
    """The first line of a library's message."""
    return (str(error).splitlines() or [""])[0][:160] or type(error).__name__


def identity(path: Path) -> Identity:
    """Of the file that lies there now. Raises ChainError (66)."""
    try:
        about = path.stat()
    except OSError as error:
        raise ChainError(
            f"{path.name} cannot be opened",
            error.strerror or str(error),
            "check that it is there and may be read",
            ExitCode.MISSING,
        ) from error
    return Identity(str(path), about.st_size, about.st_mtime_ns, about.st_ino)


HANDLES = Handles()  # of this process
