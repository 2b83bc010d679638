"""Files are whole or absent: sibling temporary, fsync, replace, fsync of the directory."""

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data import fault

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PROBE_BYTES = 1 << 20
# asked before anything is put in place: a process that lost what it holds raises, and commits nothing more
guards: list[Callable[[], None]] = []


def refuse_if_lost() -> None:
    """Raise what a guard raises (69) when this process may not write any more."""
    for guard in guards:
        guard()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a sibling temporary path to write; on success it becomes `path` durably, on failure it is removed.

    While it is written its owner alone may read it; then it has the mode that the umask gives. Raises OSError where
    something else than the file that was made stands under the temporary name.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # also drops a symlink planted under the temporary name
    mode = _made(part)
    try:
        fault.point("file.begin")
        yield part
        fault.written("file.written", part)
        if not stat.S_ISREG(part.lstat().st_mode):
            raise OSError(errno.ELOOP, "something else was put in its place while it was written", str(part))
        part.chmod(mode)
        fsync_file(part)
        fault.point("file.synced")
        refuse_if_lost()
        part.replace(path)
        fault.point("file.renamed")
        fsync_dir(path.parent)
        fault.point("file.durable")
    except Exception as error:
        full = None if isinstance(error, OSError) and error.errno else _no_room(part, error)
        part.unlink(missing_ok=True)
        if full is not None:
            raise full from error
        raise
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _made(part: Path) -> int:
    """An empty new file, never through a link; returns the mode it is to have in the end."""
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return mode


def _no_room(part: Path, error: Exception) -> OSError | None:
    """What torch, safetensors, h5py and numpy each say in words of their own: that there is no room left."""
    for number in NO_ROOM:
        if os.strerror(number) in str(error):
            return OSError(number, os.strerror(number), str(part))
    try:
        with part.open("ab") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as found:
        return OSError(found.errno, found.strerror, str(part)) if found.errno in NO_ROOM else None
    return None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file durably, or leave what was there."""
    with replacing(path) as part:
        part.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, so that equal values are equal bytes. NaN is refused, not written."""
    write_bytes(path, canonical_json(value, indent=1) + b"\n")


def canonical_json(value: Any, indent: int | None = None) -> bytes:
    """JSON with sorted keys and no NaN: the form that is digested."""
    return json.dumps(value, sort_keys=True, indent=indent, allow_nan=False, ensure_ascii=False).encode()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync_file(path: Path) -> None:
    """Force a written file to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_dir(path: Path) -> None:
    """Force a directory's entries (a rename, a new name) to disk."""
    fsync_file(path)
