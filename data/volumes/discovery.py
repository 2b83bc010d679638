"""From a folder to volumes."""

from pathlib import Path

from data.volumes.found import Found
from data.volumes.reasons import Reason


def find_volumes(path: Path, key: bytes, pattern: str = "*", accept: frozenset[Reason] = frozenset()) -> list[Found]:
    """Every volume below a folder (or the one file), in the order of their pseudonyms."""
    raise NotImplementedError
