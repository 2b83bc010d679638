"""What a process does to the machine, written down as it does it: files, links, processes, sockets, unpickling, code.

An audit hook (PEP 578) cannot be taken off again, so it lives in processes of its own. It sees what goes through
Python; what C libraries open is seen by `inotify.py`.
"""

import json
import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = str(Path(__file__).resolve().parents[2])
# code and what the interpreter and its libraries look up for themselves; never a case's own files
OURS = [f"{ROOT}/{name}" for name in ("data", "stages", "pipeline", "tests", "patchchain.egg-info")]
LIBRARIES = [
    sys.prefix,
    sys.base_prefix,
    "/usr/lib",
    "/usr/local/lib",
    "/lib",
    "/usr/share",
    "/proc",
    "/sys",
    "/dev/shm",
]
TRUSTED = tuple({os.path.realpath(place) + "/" for place in (*OURS, *LIBRARIES)})
TRUSTED_FILES = {os.path.realpath(ROOT + name) for name in ("/run_chain.py", "/pyproject.toml", "")} | {
    "/dev/null", "/dev/urandom", "/etc/localtime", "/etc/mime.types", "/etc/os-release", "/etc/ld.so.cache",
}  # fmt: skip
# where in the arguments the paths stand that are changed, each with the directory it may be relative to
PATHS = {"os.mkdir": [(0, 2)], "os.rename": [(0, 2), (1, 3)], "os.remove": [(0, 1)], "os.rmdir": [(0, 1)],
         "os.symlink": [(1, 2)], "os.link": [(0, 2), (1, 3)], "os.chmod": [(0, 2)], "os.chown": [(0, 3)],
         "os.truncate": [(0, -1)], "os.utime": [(0, 3)], "os.mkfifo": [(0, 2)], "os.mknod": [(0, 3)]}  # fmt: skip
STARTS = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile", "pty.spawn"}
NETWORK = {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
           "urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect"}  # fmt: skip
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def install(log: str) -> None:
    """From here on every event that matters is a line of `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
    busy = False

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal busy
        if busy or not (found := _found(event, args)):
            return
        busy = True
        try:
            for kind, what in found:
                if what == log:
                    continue
                os.write(descriptor, json.dumps([kind, what, event]).encode() + b"\n")
        finally:
            busy = False

    sys.addaudithook(hook)


def mark(log: str, name: str) -> None:
    """The case that begins."""
    with open(log, "ab") as file:  # noqa: PTH123
        file.write(json.dumps(["case", name, ""]).encode() + b"\n")


def _found(event: str, args: tuple[Any, ...]) -> list[tuple[str, str]]:
    if event == "open":
        path, _, flags = args
        if isinstance(path, int) or path is None:
            return []
        where = real(path, at=_folder_of_shutil())
        if flags & WRITES:
            return [("write", where)]
        return [] if where in TRUSTED_FILES or where.startswith(TRUSTED) else [("read", where)]
    if event in PATHS:
        pairs = [(args[i], args[k] if 0 <= k < len(args) else -1) for i, k in PATHS[event]]
        return [("write", real(path, True, at)) for path, at in pairs if not isinstance(path, int)]
    if event == "subprocess.Popen":
        return [("process", " ".join(map(str, args[1])))]
    if event in STARTS:
        return [("process", f"{event} {args}")]
    if event in NETWORK:
        return [("network", str(args[1:]))]
    if event == "pickle.find_class":
        return [("unpickled", ".".join(map(str, args)))]
    if event == "exec":
        name = getattr(args[0], "co_filename", "?")
        if name.startswith("<"):  # dataclasses, named tuples and templates make code of their own text
            name = frame.f_code.co_filename if (frame := _frame(3)) else name
        trusted = name.startswith("<frozen") or os.path.realpath(name).startswith(TRUSTED)
        return [] if trusted or os.path.realpath(name) in TRUSTED_FILES else [("code", name)]
    return []


def _folder_of_shutil() -> int:
    """The event of an opened file does not say what its path is relative to; only the removal of trees uses that."""
    frame = _frame(4)
    if frame is None or not frame.f_code.co_filename.endswith("shutil.py") or "rmtree" not in frame.f_code.co_name:
        return -1
    return int(frame.f_locals.get("topfd", -1))


def _frame(depth: int) -> FrameType | None:
    try:
        return sys._getframe(depth)
    except ValueError:  # the process has only begun
        return None


def real(path: Any, link: bool = False, at: int = -1) -> str:
    """Where a path leads; `link`: the last step may be a link that is itself what is meant; `at`: an open folder."""
    base = os.readlink(f"/proc/self/fd/{at}") if at >= 0 else os.getcwd()  # noqa: PTH109, PTH115
    text = os.path.normpath(os.path.join(base, os.fsdecode(path)))  # noqa: PTH118
    if link:
        return os.path.join(os.path.realpath(os.path.dirname(text)), os.path.basename(text))  # noqa: PTH118, PTH119, PTH120
    return os.path.realpath(text)
