"""Files are whole or absent: sibling temporary, fsync, replace, fsync of the directory."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data import fault


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a sibling temporary path to write; on success it becomes `path` durably, on failure it is removed."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # also drops a symlink planted under the temporary name
    try:
        fault.point("file.begin")
        yield part
        fault.written("file.written", part)
        fsync_file(part)
        fault.point("file.synced")
        part.replace(path)
        fault.point("file.renamed")
        fsync_dir(path.parent)
        fault.point("file.durable")
    except BaseException:
        part.unlink(missing_ok=True)
        raise


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
