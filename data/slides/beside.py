"""The file that belongs to a slide in a folder of such files: annotations, coordinates."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from data.errors import ChainError, ExitCode
from data.files.containment import Root, outside


def file_of(folder: Path, slide: str, endings: Sequence[str], key: str) -> Path | None:
    """The one file named as the slide, with one of these endings: at the slide's own place below, else at the top.

    slide: relative POSIX path; key: what the configuration calls the folder. Raises ChainError: 66 when there is no
    such folder, 65 when two files in one place claim the slide or a link leads out of the folder.
    """
    root = Root(folder, key)
    place = PurePosixPath(slide)
    found: list[Path] = []
    for stem in (str(place.with_suffix("")), place.stem):
        found = found or [path for ending in endings if (path := folder / f"{stem}{ending}").is_file()]
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


def refuse_shared(found: Mapping[str, Path | None], key: str) -> None:
    """Raises ChainError (65) when one file would be taken for two slides of the same name in different folders.

    found: slide (relative POSIX path) -> its file; key: what the configuration calls the folder.
    """
    slide_of: dict[Path, str] = {}
    for slide, path in found.items():
        if path is not None and (other := slide_of.setdefault(path, slide)) != slide:
            raise ChainError(
                f"{key}: {path.name} may belong to {other} and to {slide}",
                "they have the same name in different folders, and one of them has no file in its own place",
                "give each a file at its own place: "
                + " and ".join(str(PurePosixPath(name).with_suffix(path.suffix)) for name in (other, slide)),
                ExitCode.BAD_DATA,
            )
