"""One writer per run directory: an operating-system lock that dies with its holder and its last child."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from data import fault
from data.errors import ChainError, ExitCode
from data.files.atomic import fsync_dir, guards
from data.files.regular import open_regular
from pipeline.directory.layout import command

LOG = logging.getLogger("patchchain")
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
TAKEN = {errno.EWOULDBLOCK, errno.EACCES}


@dataclass(frozen=True)
class Holder:
    """Who holds, or held, the lock. `since` is for people; nothing is decided by age."""

    pid: int
    host: str
    since: str
    verb: str

    @property
    def here(self) -> bool:
        """Whether this is the host it ran on."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether a process of this number lives on this host."""
        if not self.here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host} since {self.since} ({self.verb})"


@contextlib.contextmanager
def held(path: Path, verb: str, patience_s: float = 0.0) -> Iterator[int]:
    """Hold the lock at `path`; yields its descriptor, which launchers hand to their children.

    The file stays; what it holds is emptied on a clean end. Raises ChainError at once: 69 when somebody
    else holds it, 73 where the file system gives no locks. The loser of a race writes nothing.
    patience_s: how long to wait for children that are about to follow their dead parent.
    """
    descriptor = _acquire(path, patience_s)
    try:
        before = _read(descriptor)
        if before is not None and not before.here:
            raise ChainError(
                f"{path.parent} may be in use by {before}",
                "that process did not end cleanly and cannot be seen from this host",
                f"make sure that it has ended, then: {command('unlock', path.parent, '--force')}",
                ExitCode.IN_USE,
            )
        _write(descriptor, Holder(os.getpid(), socket.gethostname(), time.strftime("%Y-%m-%d %H:%M:%S"), verb))
        # an orphan of ours must keep the run locked until it ends
        os.set_inheritable(descriptor, True)
        if before is not None:
            LOG.info(f"the previous {before.verb} (pid {before.pid}) died; taking over")
        guard = _guard(path, os.fstat(descriptor))
        guards.append(guard)
        try:
            fault.point("lock.taken")
            yield descriptor
        finally:
            guards.remove(guard)
            os.ftruncate(descriptor, 0)  # ended in an orderly way, whatever the outcome
    finally:
        os.close(descriptor)


def unlock(path: Path, force: bool) -> str:
    """Take the lock from whoever has it; returns what was done, in words.

    Who is stopped, or hangs, and wakes later finds that it lost the lock, and commits nothing. Raises ChainError (69)
    without `force`, unless it can be seen that the holder died.
    """
    other = holder(path)
    try:
        with held(path, "unlock"):
            return f"{other} died; the lock is free" if other else "nobody holds the lock"
    except ChainError as error:
        if error.code != ExitCode.IN_USE or not force:
            raise
    path.unlink()
    fsync_dir(path.parent)
    return f"the lock was taken from {other or 'another process'}: if that still lives, it commits nothing more"


def holder(path: Path) -> Holder | None:
    """Who the lock file names: None after a clean end. Only for showing."""
    try:
        with open_regular(path) as file:
            return _read(file.fileno())
    except FileNotFoundError:
        return None


def _acquire(path: Path, patience_s: float) -> int:
    until, told = time.monotonic() + patience_s, False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # a refused first start removes the run directory: a lock on a removed file protects nothing
            if _is_still(path, os.fstat(descriptor)):
                return descriptor
        except OSError as error:
            if error.errno in TAKEN and _orphaned(descriptor) and time.monotonic() < until:
                if not told:
                    LOG.info(f"a process that {_read(descriptor)} started still runs: waiting up to {patience_s:g} s")
                    told = True
                os.close(descriptor)
                time.sleep(0.1)
                continue
            refused = _refusal(path, descriptor, error)
            os.close(descriptor)
            raise refused from None
        os.close(descriptor)
        path.parent.mkdir(parents=True, exist_ok=True)


def follow(path: Path) -> None:
    """For a rank, on whatever host: write only as long as the lock is the one it was started under."""
    with contextlib.suppress(FileNotFoundError):
        guards.append(_guard(path, path.stat()))


def _guard(path: Path, taken: os.stat_result) -> Callable[[], None]:
    def refuse_if_lost() -> None:
        if not _is_still(path, taken):
            raise ChainError(
                f"{path.parent} was taken over by {holder(path) or 'another process'}",
                "this process was stopped, or out of reach, for so long that its lock was taken from it",
                "nothing to do: the other one goes on, and this one has committed nothing since",
                ExitCode.IN_USE,
            )

    return refuse_if_lost


def _is_still(path: Path, taken: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), taken)
    except FileNotFoundError:
        return False


def _refusal(path: Path, descriptor: int, error: OSError) -> ChainError | OSError:
    if error.errno in NO_LOCKS:
        return ChainError(
            f"{path.parent} cannot be locked ({errno.errorcode[error.errno]})",
            "the file system gives no locks, and two writers would ruin a run",
            "use a run directory on a local disk",
            ExitCode.NOT_WRITABLE,
        )
    if error.errno not in TAKEN:
        return error
    other = _read(descriptor)
    if _orphaned(descriptor):
        why = f"{other} died, but a process it started still runs"
    else:
        why = f"{other or 'another process'} is writing to it"
    return ChainError(
        f"{path.parent} is in use",
        why,
        "wait for it to end, or use another run directory; if it hangs: unlock RUN --force",
        ExitCode.IN_USE,
    )


def _orphaned(descriptor: int) -> bool:
    """Whether who took the lock is dead, so that only its children can hold it."""
    other = _read(descriptor)
    return other is not None and other.here and not other.alive


def _read(descriptor: int) -> Holder | None:
    content = os.pread(descriptor, 4096, 0)
    try:
        return Holder(**json.loads(content)) if content else None
    except (ValueError, TypeError, RecursionError):
        return None  # killed while writing these few bytes: the lock itself is what counts


def _write(descriptor: int, who: Holder) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(who)).encode(), 0)
