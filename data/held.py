"""Do the files of a source still hold what they held? A quick look, for sources of millions of patches."""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from data.atomic import canonical_json

ALONE_BYTES = 1 << 20  # of the beginning and of the end of a large file of many patches
AMONG_OTHERS_BYTES = 16 << 10  # of a file of one patch: nearly always all of it


def held_sha256(files: Iterable[Path], piece_bytes: int = AMONG_OTHERS_BYTES) -> str:
    """Hex digest of files in the order given: of each its size, and `piece_bytes` of its beginning and of its end.

    Where they lie, and their times, do not count. A file that cannot be read counts as such: who needs it says so.
    """
    digest = hashlib.sha256()
    for path in files:
        digest.update(canonical_json(_ends(path, piece_bytes)))
    return digest.hexdigest()


def _ends(path: Path, piece_bytes: int) -> list[int | str]:
    try:
        with open(path, "rb", buffering=0, opener=_at_once) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                return ["no regular file"]
            digest = hashlib.sha256(file.read(piece_bytes))
            if about.st_size > piece_bytes:
                file.seek(max(piece_bytes, about.st_size - piece_bytes))
                digest.update(file.read(piece_bytes))
    except OSError:
        return ["not readable"]
    return [about.st_size, digest.hexdigest()]


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would be waited for
