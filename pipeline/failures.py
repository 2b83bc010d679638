"""Failures that are nobody's bug, in three lines: a full disk, no permission, no memory. The rest is ours."""

import contextlib
import errno
import os
import shutil
import traceback
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.files.disk import gigabytes
from data.printable import printable_lines
from pipeline.directory.workspace import Workspace

ERROR_LOG = "error.log"
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
LIMITS = {  # why, and what to do
    errno.EDQUOT: ("this user's quota on that disk is used up", "remove what is not needed, or have the quota raised"),
    errno.EFBIG: ("files may not become larger here (`ulimit -f`, or the file system)", "raise that limit"),
}
NO_PLACE = {errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def explained(
    error: Exception, doing: str, into: Path | None = None, elsewhere: str = "use another run directory"
) -> ChainError | None:
    """The refusal that says what `error` means to a user, None when it is an internal error.

    into: where the work writes, for an error that does not name its file; None: not known. elsewhere: what helps where
    nothing may be written.
    """
    if isinstance(error, ChainError):
        return error
    if isinstance(error, OSError) and error.errno in DISK:
        # a limit may be reached where the disk has room: its free space would say nothing
        why, todo = LIMITS.get(error.errno) or (
            f"the disk is full or failing{_free(error.filename, into)}",
            "free some space",
        )
        return ChainError(
            f"{doing}: {error.strerror} writing {error.filename or 'a file'}",
            f"{why}; what was committed before is unchanged",
            f"{todo}, then run the same command again",
            ExitCode.IO,
        )
    if isinstance(error, OSError) and error.errno in FORBIDDEN:
        return ChainError(
            f"{doing}: {error.filename or 'a file'} is not accessible ({error.strerror})",
            "this user may not write (or read) there",
            f"correct the permissions, or {elsewhere}",
            ExitCode.NOT_WRITABLE,
        )
    if isinstance(error, OSError) and error.errno in NO_PLACE:
        return ChainError(
            f"{doing}: {error.filename or 'a path'}: {error.strerror}",
            "there can be nothing of that name",
            "correct the path",
            ExitCode.NOT_WRITABLE if into else ExitCode.MISSING,
        )
    # torch's own class, by name: nothing here imports torch
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return ChainError(
            f"{doing}: out of memory",
            str(error) or "the machine has no more memory to give",
            "use a smaller batch_size or fewer --workers, then run the same command again",
            ExitCode.OUT_OF_MEMORY,
        )
    return None


def _free(path: object, into: Path | None) -> str:
    # HDF5 and others do not say which file it was: the working directory may lie on another disk
    written = Path(os.fsdecode(path)).parent if isinstance(path, str | bytes) else into
    if written is None:
        return ""
    try:
        there = next(place for place in (written, *written.absolute().parents) if place.is_dir())
        return f" ({gigabytes(shutil.disk_usage(there).free)} free in {there})"
    except OSError:
        return ""


def log_traceback(error: BaseException, root: Workspace) -> None:
    """Append the traceback to the directory's logs/error.log, as far as that can be written."""
    with contextlib.suppress(OSError, ChainError):
        root.make()  # not through a link that leads out of it
        root.logs.mkdir(exist_ok=True)
        with (root.logs / ERROR_LOG).open("a", encoding="utf-8") as log:
            log.write(printable_lines("".join(traceback.format_exception(error))) + "\n")


def internal(error: Exception, doing: str, log: Path | None) -> ChainError:
    """The refusal for a bug of ours; the traceback is in `log`."""
    return ChainError(
        f"{doing}: {type(error).__name__}: {error}",
        "this is a fault of the program; what was committed before is unchanged",
        f"see {log}" if log else "run it again with PYTHONFAULTHANDLER=1 and tell us the command and these lines",
        ExitCode.INTERNAL,
    )
