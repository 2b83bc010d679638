"""Do the files of a source still hold what they held? A quick look, for sources of millions of patches."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from data.files.atomic import canonical_json
from data.files.ends import ends

ALONE_BYTES = 1 << 20  # of the beginning and of the end of a large file of many patches
AMONG_OTHERS_BYTES = 16 << 10  # of a file of one patch: nearly always all of it


def held_sha256(files: Iterable[Path], piece_bytes: int = AMONG_OTHERS_BYTES) -> str:
    """Hex digest of files in the order given: of each its size, and `piece_bytes` of its beginning and of its end.

    Where they lie, and their times, do not count. A file that cannot be read counts as such: who needs it says so.
    """
    digest = hashlib.sha256()
    for path in files:
        digest.update(canonical_json(_held(path, piece_bytes)))
    return digest.hexdigest()


def _held(path: Path, piece_bytes: int) -> list[int | str]:
    try:
        return ends(path, piece_bytes)
    except OSError:
        return ["not readable"]
