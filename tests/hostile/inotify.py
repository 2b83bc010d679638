"""Which files of some folders anybody opened, C libraries included: the kernel says it (Linux)."""

import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

SEEN = 0x1 | 0x2 | 0x4 | 0x20 | 0x40 | 0x80 | 0x100 | 0x200  # access, modify, attrib, open, moved, create, delete
_EVENT = struct.Struct("iIII")


class Watch:
    """Folders watched from now on, not what lies in folders below them."""

    def __init__(self, folders: Sequence[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._descriptor >= 0, os.strerror(ctypes.get_errno())
        self._folders: dict[int, Path] = {}
        for folder in folders:
            number = libc.inotify_add_watch(self._descriptor, os.fsencode(folder), SEEN)
            assert number >= 0, os.strerror(ctypes.get_errno())
            self._folders[number] = folder

    def touched(self) -> set[Path]:
        """What was opened, changed or made since the last time."""
        found = set()
        while content := self._read():
            at = 0
            while at < len(content):
                number, _, _, length = _EVENT.unpack_from(content, at)
                name = content[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                found.add(self._folders[number] / os.fsdecode(name))
                at += _EVENT.size + length
        return found

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return b""
