"""Files that are files: a pipe under the name of one would be waited for, and a device never ends."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """Open for reading. Raises OSError: FileNotFoundError where no regular file, nor a link to one, lies there."""
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115  the caller closes it; Path.open takes no opener
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path))
    return file


def read_regular(path: Path) -> bytes:
    """All that it holds. Raises what `open_regular` raises."""
    with open_regular(path) as file:
        return file.read()


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
