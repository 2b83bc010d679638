"""Thumbnails small enough that a thousand of them make one page."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

PAGE_BYTES = 13 << 20  # of all previews; base64 makes a third more of them
LARGEST_BYTES, SMALLEST_BYTES = 48 << 10, 3 << 10
TRIES = ((480, 82), (320, 78), (320, 60), (240, 55), (160, 50), (96, 45))  # longer side in px, JPEG quality


def previews(paths: Sequence[Path], threads: int) -> list[bytes | None]:
    """A small JPEG of each thumbnail, all together at most PAGE_BYTES; None where there is none, or no room for it."""
    budget = min(LARGEST_BYTES, PAGE_BYTES // max(1, len(paths)))
    room = len(paths) if budget >= SMALLEST_BYTES else PAGE_BYTES // SMALLEST_BYTES
    with ThreadPoolExecutor(max(1, threads)) as pool:
        shown = list(pool.map(lambda path: preview(path, max(budget, SMALLEST_BYTES)), paths[:room]))
    return shown + [None] * (len(paths) - room)


def preview(path: Path, budget: int) -> bytes | None:
    """One thumbnail as a JPEG of at most `budget` bytes, as large as fits; None when it is unreadable."""
    try:
        content = path.read_bytes()
        for side, quality in TRIES:
            with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
                image.draft("RGB", (side, side))
                small = image.convert("RGB")
            small.thumbnail((side, side))
            written = io.BytesIO()
            small.save(written, "JPEG", quality=quality, optimize=True)
            if written.tell() <= budget:
                return written.getvalue()
    except (OSError, ValueError, SyntaxError):
        return None
    return None
