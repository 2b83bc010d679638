"""Which files of a folder are slides, and which other files belong to each."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from data.errors import ChainError, ExitCode
from data.files.containment import Root, walk
from data.wsi.index_files import named

# every ending that OpenSlide opens: Aperio, Hamamatsu, Leica, MIRAX, Philips, Sakura, Trestle, Ventana, Zeiss, DICOM
SUFFIXES = frozenset(
    {".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".czi", ".dcm"}
)
_DICOM_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage


def slide_files(path: Path, pattern: str) -> list[str]:
    """Relative POSIX paths of the slides below `path` (or the one file), sorted by bytes, that match a shell pattern.

    Of a DICOM slide of several files the first stands for all. Hidden files are passed over. Raises ChainError: 66
    when there is none, 65 for a link that leads out of the folder.
    """
    if path.is_file():
        return [path.name]
    there = [key for key in walk(Root(path, "prepare.path"), "prepare.path") if is_slide_name(key)]
    keys = [key for key in there if fnmatchcase(key, pattern)]
    found = list(_one_a_series(path, keys))
    if found:
        return found
    if there and not keys:
        why = f"{len(there):,} slides lie there, such as {there[0]}, but none matches prepare.pattern: {pattern}"
    else:
        why = f"slides end in {', '.join(sorted(SUFFIXES))}"
    raise ChainError(f"{path} holds no slide", why, "correct prepare.path or prepare.pattern", ExitCode.MISSING)


def is_slide_name(key: str) -> bool:
    """Whether a name promises a slide."""
    return PurePosixPath(key).suffix.lower() in SUFFIXES


def belonging(path: Path) -> tuple[Path, ...]:
    """Every file a slide is made of, itself first, the rest sorted: MIRAX, Hamamatsu and DICOM slides have several."""
    match path.suffix.lower():
        case ".mrxs":
            beside = [file for file in path.with_suffix("").glob("*") if file.is_file()]
        case ".vms" | ".vmu":
            beside = _named_in(path)
        case ".dcm":
            series = _series(path)
            beside = [file for file in path.parent.glob("*") if file.suffix.lower() == ".dcm" and file != path]
            beside = [file for file in beside if _series(file) == series]
        case _:
            beside = []
    return path, *sorted(beside)


def _one_a_series(root: Path, keys: list[str]) -> Iterator[str]:
    seen = set()
    for key in keys:
        if PurePosixPath(key).suffix.lower() == ".dcm":
            series = _series(root / key)
            if series is None or (place := (PurePosixPath(key).parent, series)) in seen:
                continue  # a CT slice, a report, or another file of a slide already listed
            seen.add(place)
        yield key


def _series(path: Path) -> str | None:
    """The series a DICOM slide's file belongs to; None: it is no slide."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        wanted = ["SOPClassUID", "SeriesInstanceUID"]
        about = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
        return str(about.SeriesInstanceUID) if about.SOPClassUID == _DICOM_SLIDE else None
    except (InvalidDicomError, OSError, AttributeError, ValueError, KeyError, EOFError, NotImplementedError):
        return None


def _named_in(path: Path) -> list[Path]:
    """Files in the same folder that an index of Hamamatsu's names."""
    names = {value for _, value in named(path) if PurePosixPath(value).name == value}
    # Path.is_file raises for a name too long
    return [path.parent / name for name in names if os.path.isfile(path.parent / name)]  # noqa: PTH113
