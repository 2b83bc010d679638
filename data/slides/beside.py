"""The file that belongs to a slide in a folder of such files: annotations, coordinates."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from data.containment import Root, outside
from data.errors import ChainError, ExitCode


def file_of(folder: Path, slide: str, endings: Sequence[str], key: str) -> Path | None:
    """The one file named as the slide, with one of these endings: at the slide's own place below, or at the top.

    slide: relative POSIX path; key: what the configuration calls the folder. Raises ChainError: 66 when there is no
    such folder, 65 when two files claim the slide or a link leads out of the folder.
    """
    root = Root(folder, key)
    place = PurePosixPath(slide)
    stems = dict.fromkeys([str(place.with_suffix("")), place.stem])
    found = [path for stem in stems for ending in endings if (path := folder / f"{stem}{ending}").is_file()]
    if len(found) > 1:
        raise ChainError(
            f"{slide}: {found[0].relative_to(folder)} and {found[1].relative_to(folder)} in {folder} both belong to it",
            "one file says it",
            "remove one",
            ExitCode.BAD_DATA,
        )
    if found and not root.contains(found[0]):
        raise outside(f"{key}: {found[0]}", folder)
    return found[0] if found else None
