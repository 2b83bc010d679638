"""Will it fit? Asked before work is begun that could not be finished."""

import shutil
from pathlib import Path

from data.errors import ChainError, ExitCode


def gigabytes(n_bytes: float) -> str:
    """`1.2 GB`, `340 MB`."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{max(n_bytes, 0) / 1e6:,.1f} MB"


def refuse_if_short(directory: Path, need_bytes: float, what: str) -> None:
    """Raise ChainError (74) when `what`, which is to be written to `directory`, needs more than is free there.

    The directory may be one that is yet to be made.
    """
    there = next(place for place in (directory, *directory.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(there).free
    if need_bytes > free:
        raise ChainError(
            f"the disk would be full: {what} needs about {gigabytes(need_bytes)}, {gigabytes(free)} are free",
            f"that is the disk of {directory}; nothing committed was changed",
            "free some space, or use a run directory on another disk, then run the same command again",
            ExitCode.IO,
        )
