"""The files below a folder that may be volumes, whatever they are called. No name of a file gets into a message."""

import fnmatch
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from data.errors import ChainError, ExitCode
from data.files.containment import hidden
from data.volumes.sitk_files import kind_of

Looks = Literal["file", "dicom", "unsupported", "outside", "unreadable"]

DICOM_SUFFIXES = {".dcm", ".dicom", ".dic", ".ima", ".dc3"}
UNSUPPORTED_SUFFIXES = {".nhdr", ".hdr"}  # headers whose voxels lie in another file
# what lies beside volumes and is none; no need to look into it
PASSED_OVER = {
    ".bz2", ".csv", ".gz", ".h5", ".htm", ".html", ".img", ".jpeg", ".jpg", ".json", ".log", ".md", ".npy", ".npz",
    ".pdf", ".png", ".py", ".raw", ".tar", ".tif", ".tiff", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml", ".yml",
    ".zip", ".zraw",
}  # fmt: skip
MAGIC_AT = 128


class Candidate(NamedTuple):
    """path: absolute. key: its POSIX path below the folder. looks: what it may be."""

    path: Path
    key: str
    looks: Looks


def candidates(root: Path, pattern: str, only: Collection[Path] | None = None) -> Iterator[Candidate]:
    """In the order of their keys' bytes. `pattern`: a shell pattern of names or of paths below the folder.

    only: absolute paths below the folder; no other file is looked for or at.
    Hidden files are passed over, linked folders are not entered, pipes and devices are not opened. Raises ChainError
    (66) when the folder is missing.
    """
    if root.is_file():
        found = [root.absolute()]
        base = found[0].parent
    elif root.is_dir():
        base = root.absolute()
        found = list(_walk(base)) if only is None else [path for path in only if path.exists()]
    else:
        raise ChainError("the folder of `path` is missing", "volumes are read from there",
                         "correct `path`, or mount it", ExitCode.MISSING)  # fmt: skip
    inside = Path(os.path.realpath(base))
    keyed = sorted(((os.fsencode(path.relative_to(base).as_posix()), path) for path in found), key=lambda pair: pair[0])
    for raw, path in keyed:
        key = raw.decode("utf-8", "surrogateescape")
        if not (fnmatch.fnmatchcase(key, pattern) or fnmatch.fnmatchcase(path.name, pattern)):
            continue
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
            yield Candidate(path, key, "outside")
        elif (path.is_file() or not path.exists()) and (looks := _looks(path)) is not None:
            yield Candidate(path, key, looks)


def _walk(base: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(base, onerror=_unreadable):
        folders[:] = [name for name in folders if not hidden(name)]
        at = Path(folder)
        # a linked folder is not entered: inside it would be found twice, outside it does not belong here
        yield from (at / name for name in folders if (at / name).is_symlink())
        yield from (at / name for name in files if not hidden(name))


def _unreadable(error: OSError) -> None:
    raise ChainError("a folder below `path` cannot be listed", error.strerror or type(error).__name__,
                     "allow reading it", ExitCode.MISSING) from None  # fmt: skip


def _looks(path: Path) -> Looks | None:
    suffix = path.suffix.lower()
    if kind_of(path.name):
        return "file"
    if suffix in UNSUPPORTED_SUFFIXES:
        return "unsupported"
    if suffix in PASSED_OVER or path.name.upper() == "DICOMDIR":
        return None
    try:
        with path.open("rb") as file:
            start = file.read(MAGIC_AT + 4)
    except OSError:
        return "unreadable"
    return "dicom" if suffix in DICOM_SUFFIXES or _is_dicom(start) else None


def _is_dicom(start: bytes) -> bool:
    if start[MAGIC_AT:] == b"DICM":
        return True
    # without a preamble a file begins with its first element: of group 2 or 8, in either byte order
    return start[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08") and len(start) > 12 and start[3] == 0
