"""Slides that are an index naming other files (Hamamatsu, MIRAX): none of these may lie in another folder.

OpenSlide opens whatever path an index names. The text is read line by line as GLib reads key files, and not by Python's
parser, which takes an indented line for the end of the one before: two readings of one file are a way round a check.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.printable import shortened

MOST_BYTES = 4 << 20


def refuse_ways_out(path: Path) -> None:
    """Raise ChainError (65) when the index of a slide, or a link beside it, leads out of its folder."""
    match path.suffix.lower():
        case ".vms" | ".vmu":
            index, folder = path, path.parent
            beside = [folder / value for _, value in named(index)]
        case ".mrxs":
            folder = path.with_suffix("")
            index = folder / "Slidedat.ini"
            beside = list(folder.glob("*"))
        case _:
            return
    for key, value in named(index):
        if "/" in value or value in (".", ".."):
            raise _refused(path, f"{shortened(key)} is {shortened(value)!r}")
    base = Path(os.path.realpath(folder))
    for file in beside:
        if file.is_symlink() and not Path(os.path.realpath(file)).is_relative_to(base):
            raise _refused(path, f"{file.name} is a link to another folder")


def named(index: Path) -> Iterator[tuple[str, str]]:
    """Keys that name files, and what they name. No key file, no names: OpenSlide says what is wrong with it."""
    try:
        with index.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError:
        return
    if len(content) > MOST_BYTES:
        raise _refused(index, f"its index has more than {MOST_BYTES:,} bytes")
    for line in os.fsdecode(content).split("\n"):  # as the system spells the names of files
        key, sign, value = line.partition("=")
        if sign and ("file" in key.lower() or "image" in key.lower()):
            yield key.strip(), value.strip().strip("\0")


def _refused(path: Path, why: str) -> ChainError:
    return ChainError(
        f"{path.name} names a file of another folder",
        f"{why}; the files of a slide lie together",
        "copy the whole slide again from its origin, or leave it out (prepare.pattern)",
        ExitCode.BAD_DATA,
    )
