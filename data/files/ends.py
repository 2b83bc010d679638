"""What tells a large file from another without reading all of it: its size, its beginning and its end."""

import hashlib
import os
from pathlib import Path

from data.files.regular import open_regular


def ends(path: Path, piece_bytes: int) -> list[int | str]:
    """Its size, and the hex digest of its first and last `piece_bytes`, none of them twice.

    Raises OSError: it cannot be read, or is a pipe, a device or a folder.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(file.read(piece_bytes))
        if size > piece_bytes:
            file.seek(max(piece_bytes, size - piece_bytes))
            digest.update(file.read(piece_bytes))
    return [size, digest.hexdigest()]
