"""Thumbnails small enough that a thousand of them make one page."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

PAGE_BYTES = 13 << 20  # of all previews; base64 makes a third more of them
ROW_BYTES = 1000  # less of them for each unit: its card and its row of the table have their share of the page
LARGEST_BYTES, SMALLEST_BYTES = 48 << 10, 3 << 10
TRIES = ((480, 82), (320, 78), (320, 60), (240, 55), (160, 50), (96, 45))  # longer side in px, JPEG quality


class Previews:
    """Small JPEGs of at most `units` thumbnails, at most PAGE_BYTES less ROW_BYTES a unit. Each is drawn once."""

    def __init__(self, units: int, threads: int) -> None:
        page = max(0, PAGE_BYTES - ROW_BYTES * units)
        self._budget = max(SMALLEST_BYTES, min(LARGEST_BYTES, page // max(1, units)))
        self._room = page // self._budget
        self._threads = max(1, threads)
        self._drawn: dict[Path, bytes | None] = {}

    def of(self, paths: Sequence[Path]) -> list[bytes | None]:
        """A preview of each; None where there is no thumbnail, or no room for it."""
        new = [path for path in paths if path not in self._drawn][: max(0, self._room - len(self._drawn))]
        with ThreadPoolExecutor(self._threads) as pool:
            self._drawn.update(zip(new, pool.map(lambda path: preview(path, self._budget), new), strict=True))
        return [self._drawn.get(path) for path in paths]


def preview(path: Path, budget: int) -> bytes | None:
    """One thumbnail as a JPEG of at most `budget` bytes, as large as fits; None when it is unreadable."""
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            image.draft("RGB", (TRIES[0][0],) * 2)  # decoded at a half, a quarter or an eighth where that is enough
            small = image.convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return None
    for side, quality in TRIES:
        small.thumbnail((side, side))  # never larger, so each size comes from the one before
        written = io.BytesIO()
        small.save(written, "JPEG", quality=quality)
        if written.tell() <= budget:
            return written.getvalue()
    return None
