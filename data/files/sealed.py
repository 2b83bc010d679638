"""What seals a finished directory: its files made durable and digested, one digest for all of them.

A directory is whole when its record (`stage.json`) stands in it; the record is written last and holds these digests.
"""

import hashlib
import json
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data import fault
from data.files.atomic import canonical_json, fsync_dir, fsync_file, sha256_file
from data.files.regular import read_regular

RECORD = "stage.json"

Files = dict[str, tuple[str, int]]  # relative POSIX path -> (SHA-256, bytes)


def durable_files(directory: Path) -> Files:
    """Force everything below `directory` to disk and digest it. The directory's own entry is the caller's."""
    files: Files = {}
    for path in sorted(directory.rglob("*")):
        assert not path.is_symlink(), f"a stage wrote a link: {path}"
        if path.is_dir():
            fsync_dir(path)
            continue
        fsync_file(path)
        files[path.relative_to(directory).as_posix()] = (sha256_file(path), path.stat().st_size)
    fsync_dir(directory)
    fault.point("seal.synced")
    return files


def content_digest(files: Mapping[str, str]) -> str:
    """One digest of a directory from {relative path: SHA-256}: where it lies and when it was made do not count."""
    return f"sha256:{hashlib.sha256(canonical_json(dict(files))).hexdigest()}"


def files_of(record: Mapping[str, Any]) -> Files:
    """The files a record names. Raises ValueError, KeyError, TypeError or AttributeError when it is none."""
    files = {str(name): (str(entry["sha256"]), entry["bytes"]) for name, entry in record["files"].items()}
    for name, (_, size) in files.items():
        if type(size) is not int:  # JSON of others knows true, 1.5 and Infinity
            raise ValueError(f"{name!r} has no size")
        # what we write is plain and relative; anything else would have a file elsewhere opened and digested
        if posixpath.normpath(name) != name or name.startswith(("/", "..")) or not name.isprintable():
            raise ValueError(f"{name!r} is no file of the directory")
    return files


def sealed_files(directory: Path) -> Files | None:
    """The files its record names, None when there is no usable record. Reads no file but the record."""
    try:
        return files_of(json.loads(read_regular(directory / RECORD)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def misfits(directory: Path, files: Files) -> list[str]:
    """Files that are absent or of another size, in words. Reads no content."""
    found = []
    for name, (_, size) in sorted(files.items()):
        path = directory / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != size:
            found.append(f"{name} has {path.stat().st_size:,} bytes, not {size:,}")
    return found
