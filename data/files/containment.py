"""Files under a root, and nothing outside it: `..`, absolute paths and symlinks out are refused by name."""

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.printable import shortened


class Root:
    """A folder that paths may not leave. `where` strings go into messages (a file and line)."""

    def __init__(self, path: Path, where: str) -> None:
        if not path.is_dir():
            what = "is not a folder" if path.exists() else "is missing"
            raise ChainError(f"{where}: {path} {what}", "its patches are read from there", "correct `path`",
                             ExitCode.MISSING)  # fmt: skip
        self.path = path
        self._real = Path(os.path.realpath(path))
        self._inside: dict[str, bool] = {}  # folders already resolved: a listing asks for the same few again and again

    def key(self, given: str, where: str) -> str:
        """The relative POSIX path of `given` (relative to the root, or absolute inside it). Raises ChainError (65)."""
        if any(ord(c) < 32 or c == "\x7f" for c in given):
            raise ChainError(
                f"{where}: {shortened(given, 200)!r} is refused",
                "a path holds no NUL, line break or control character",
                "rename the file",
                ExitCode.BAD_DATA,
            )
        written = posixpath.normpath(given)
        if posixpath.isabs(written):
            # a root reached through a link may be written either way
            base = self._real if written.startswith(f"{self._real}/") else self.path
            written = os.path.relpath(written, base)
        # both: the place it is written as, so that a key never starts with `..`, and the place it really is
        if written.split("/")[0] == ".." or not self.contains(self.path / written):
            raise outside(f"{where}: {shortened(given, 200)}", self.path)
        return written

    def contains(self, path: Path) -> bool:
        """Whether the real place of `path` (symlinks followed) lies in the root."""
        parent = str(path.parent)
        if parent not in self._inside:
            self._inside[parent] = Path(os.path.realpath(parent)).is_relative_to(self._real)
        if self._inside[parent] and path.name != ".." and not os.path.islink(path):  # noqa: PTH114  Path.is_symlink raises for a name too long
            return True
        return Path(os.path.realpath(path)).is_relative_to(self._real)


def outside(what: str, root: Path) -> ChainError:
    """The refusal of a path that leaves its root."""
    return ChainError(
        f"{what} lies outside {root}",
        "`..`, absolute paths and symbolic links may not lead out of a source's root",
        "move the file into the root, or set the root to a folder that holds it",
        ExitCode.BAD_DATA,
    )


def walk(root: Root, where: str) -> Iterator[str]:
    """Relative POSIX paths of all files below a root, sorted by their bytes: the same on every machine.

    Hidden files and folders are skipped. Raises ChainError (65) for a name that is not UTF-8, a link out, or a
    linked folder (its patches would be listed twice, or for ever).
    """
    found: list[bytes] = []
    for folder, folders, files in os.walk(root.path, onerror=_unreadable):
        folders[:] = [name for name in folders if not hidden(name)]
        at = Path(folder)
        for name in folders:
            if (at / name).is_symlink():
                if not root.contains(at / name):
                    raise outside(f"{where}: {at / name}", root.path)
                raise ChainError(f"{where}: {at / name} is a linked folder", "its patches would be listed twice",
                                 "remove the link", ExitCode.BAD_DATA)  # fmt: skip
        for name in files:
            if hidden(name):
                continue
            if not root.contains(at / name):
                raise outside(f"{where}: {at / name}", root.path)
            found.append(os.fsencode(os.path.relpath(at / name, root.path)))
    for path in sorted(found):
        try:
            yield path.decode()
        except UnicodeDecodeError as error:
            raise ChainError(f"{where}: {path!r} is refused", "file names must be UTF-8", "rename the file",
                             ExitCode.BAD_DATA) from error  # fmt: skip


def hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over."""
    return name.startswith(".") or name == "__MACOSX"


def _unreadable(error: OSError) -> None:
    raise ChainError(f"{error.filename} cannot be listed", error.strerror or str(error), "allow reading it",
                     ExitCode.MISSING) from error  # fmt: skip
