"""Has an input changed? Slides are gigabytes: size, beginning and end tell; small files are read in full."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.files.atomic import canonical_json, sha256_file
from data.files.ends import ends

PIECE_BYTES = 1 << 20  # of the beginning and of the end


def fingerprint(quick: Iterable[Path], full: Iterable[Path] = (), *words: object) -> str:
    """`sha256:...` of the files' content, in the order given; where they lie, and their times, do not count.

    quick: files of which size, first and last MiB are read; full: annotations and tables, read whole;
    words: whatever else a result depends on (plain JSON). Raises ChainError (66) when a file cannot be read.
    """
    parts = [[_ends(path) for path in quick], [_whole(path) for path in full], list(words)]
    return f"sha256:{hashlib.sha256(canonical_json(parts)).hexdigest()}"


def _ends(path: Path) -> list[int | str]:
    try:
        return ends(path, PIECE_BYTES)
    except OSError as error:
        raise _unreadable(error) from None


def _whole(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise _unreadable(error) from None


def _unreadable(error: OSError) -> ChainError:
    # no path in the message: the name of a file may be the name of a person; whoever lists the unit names it
    return ChainError(
        "an input file cannot be read",
        error.strerror or type(error).__name__,
        "check that it is there and may be read",
        ExitCode.MISSING,
    )
