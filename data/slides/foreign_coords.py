"""Coordinates that CLAM and TRIDENT have written, checked against the slide before a pixel is read.

Both write a dataset `coords`, (N, 2) whole level-0 pixels (x, y), and say in its attributes how large a patch is:
CLAM (create_patches_fp.py, `WholeSlideImage.process_contour`) patch_size in pixels of patch_level, that level's
downsample and level_dim; TRIDENT (`coords_to_h5`) patch_size at the target magnification and patch_size_level0, with
level0_width and level0_height in newer versions. Both lay patches that reach beyond the right and lower edge.

A writer that was killed may leave a file that opens: rows that were declared and never written, CLAM's process list
without "processed", TRIDENT's lock. Each is refused by name. What neither tool records (CLAM adds one tissue piece
after another, and no list was kept) cannot be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.hdf5 import HDF5_ERRORS, damaged, dataset, h5py, numbers, open_file, read
from data.readers._rows import table_rows
from data.slides.beside import file_of
from data.slides.coordinates_config import CoordinatesConfig as CoordinatesConfig

MOST_PATCHES = 20_000_000
_SAME = 0.01  # sizes and downsamples of two readers of the same slide differ by rounding only


@dataclass(frozen=True)
class ForeignCoordinates:
    """xy_px: (N, 2) int64 level-0 top-left, row-major; side_px: level-0 side; tool: clam or trident; facts: numbers
    and texts for facts.json.
    """

    xy_px: np.ndarray
    side_px: float
    tool: Literal["clam", "trident"]
    facts: dict[str, Any]


def coordinate_file(config: CoordinatesConfig, slide: str) -> Path:
    """The file of a slide (its relative POSIX path), by its stem. Raises ChainError (66 none, 65 two)."""
    if found := found_coordinates(config, slide):
        return found
    place = PurePosixPath(slide)
    raise ChainError(
        f"{slide} has no coordinate file in {config.path}",
        f"{place.stem}.h5 (CLAM) or {place.stem}_patches.h5 (TRIDENT) is expected",
        "correct coordinates.path, or cut the slide with that tool first",
        ExitCode.MISSING,
    )


def found_coordinates(config: CoordinatesConfig, slide: str) -> Path | None:
    """The same; None: there is none."""
    return file_of(config.path, slide, (".h5", "_patches.h5"), "coordinates.path")


def read_coordinates(
    path: Path, slide_size_px: tuple[int, int], downsamples: Sequence[float], beyond_edge: str = "refuse"
) -> ForeignCoordinates:
    """Read and check one file. slide_size_px: level-0 (width, height); downsamples: of the slide's levels.

    Raises ChainError (65) naming file, row or attribute: truncated, short, of another slide, beyond the slide's edge
    (unless beyond_edge is "drop"); 66: missing, or without `coords`.
    """
    with open_file(path) as file:
        data = dataset(file, "coords")
        if "imgs" in file:
            raise _refused(path, "it is a bag of images (`imgs`) of CLAM's older script: coordinates are not level-0",
                           "use the files of create_patches_fp.py")  # fmt: skip
        if data.ndim != 2 or data.shape[1] != 2 or data.dtype.kind not in "iu":
            raise _refused(path, f"coords is {data.shape} {data.dtype}, not (N, 2) whole numbers")
        if len(data) > MOST_PATCHES:
            raise _refused(path, f"it lists {len(data):,} patches; the most is {MOST_PATCHES:,}")
        _refuse_unwritten(path, data)
        said = _attributes(path, data)
        xy = read(data, 0, len(data)).astype(np.int64)
    tool: Literal["clam", "trident"] = "trident" if "patch_size_level0" in said else "clam"
    if tool == "trident":
        side = _trident_side(path, said, slide_size_px)
    else:
        side = _clam_side(path, said, slide_size_px, downsamples)
    _refuse_unfinished(path, tool)
    xy, dropped = _within(path, xy, side, slide_size_px, beyond_edge)
    xy = xy[np.lexsort((xy[:, 0], xy[:, 1]))]
    twice = np.flatnonzero((np.diff(xy, axis=0) == 0).all(axis=1))
    if len(twice):
        x, y = xy[twice[0]]
        raise _refused(path, f"it lists the patch at x {x:,}, y {y:,} twice")
    return ForeignCoordinates(xy, side, tool, {"coordinates": tool, "side_px": side, "beyond_edge_dropped": dropped})


_NAMES = ("patch_size", "patch_level", "downsample", "level_dim", "custom_downsample", "patch_size_level0",
          "level0_magnification", "target_magnification", "overlap", "level0_width", "level0_height")  # fmt: skip


def _attributes(path: Path, data: h5py.Dataset) -> dict[str, tuple[float, ...]]:
    # texts (name, save_path) are never read: they lie in a heap whose damage can crash the library
    said = {}
    for name in _NAMES:
        try:
            values = numbers(data, name, longest=2)
        except TypeError as error:
            if name in ("level0_magnification", "target_magnification", "overlap"):
                continue  # TRIDENT writes "None" where it did not know; nothing here depends on them
            raise _refused(path, str(error)) from error
        except HDF5_ERRORS as error:
            raise damaged(path, "coords", error) from error
        if values is not None:
            if not np.isfinite(values).all():
                raise _refused(path, f"attribute {name!r} is not finite")
            said[name] = values
    return said


def _one(path: Path, said: dict[str, tuple[float, ...]], name: str, least: float, most: float) -> float:
    values = said.get(name)
    if values is None:
        raise _refused(path, f"coords has no attribute {name!r}: neither CLAM nor TRIDENT wrote it so")
    if max(values) - min(values) > _SAME * abs(values[0]) or not least <= values[0] <= most:
        raise _refused(path, f"attribute {name!r} is {', '.join(f'{v:g}' for v in values)}")
    return values[0]


def _trident_side(path: Path, said: dict[str, tuple[float, ...]], slide_size_px: tuple[int, int]) -> float:
    for name, length in zip(("level0_width", "level0_height"), slide_size_px, strict=True):
        # older versions do not write it
        if name in said and abs(_one(path, said, name, 1, 1e8) - length) >= 1:
            raise _of_another(path, name, said[name][0], length)
    side = _one(path, said, "patch_size_level0", 1, 1e6)
    size = _one(path, said, "patch_size", 1, 1e6)
    if {"level0_magnification", "target_magnification"} <= said.keys():
        source, target = (_one(path, said, f"{name}_magnification", 0.1, 1000) for name in ("level0", "target"))
        if abs(side - size * source / target) > 1:
            raise _refused(path, f"patch_size_level0 is {side:g}, but patch_size {size:g} at {target:g}x of a slide "
                           f"of {source:g}x takes {size * source / target:g}")  # fmt: skip
    return side


def _clam_side(
    path: Path, said: dict[str, tuple[float, ...]], slide_size_px: tuple[int, int], downsamples: Sequence[float]
) -> float:
    level = _one(path, said, "patch_level", 0, 1000)
    if level != int(level) or level >= len(downsamples):
        raise _refused(path, f"patch_level is {level:g}; the slide has levels 0 to {len(downsamples) - 1}")
    down = float(downsamples[int(level)])
    if "downsample" in said and abs(_one(path, said, "downsample", 1, 1e5) - down) > _SAME * down:
        raise _of_another(path, "downsample", said["downsample"][0], down)
    if len(dim := said.get("level_dim", ())) == 2:
        for name, stated, size in zip(("width", "height"), dim, slide_size_px, strict=True):
            if abs(stated - size / down) > 1 + _SAME * size / down:
                raise _of_another(path, f"level_dim ({name})", stated, size / down)
    custom = _one(path, said, "custom_downsample", 1, 64) if "custom_downsample" in said else 1.0
    return _one(path, said, "patch_size", 1, 1e6) * down * custom


def _within(
    path: Path, xy: np.ndarray, side: float, slide_size_px: tuple[int, int], beyond_edge: str
) -> tuple[np.ndarray, int]:
    inside = ((xy >= 0) & (xy + np.ceil(side - 1e-6) <= np.array(slide_size_px))).all(axis=1)
    beyond = np.flatnonzero(~inside)
    # an edge patch begins on the slide; what begins elsewhere is of another slide, whatever beyond_edge says
    stray = np.flatnonzero(((xy < 0) | (xy >= np.array(slide_size_px))).any(axis=1))
    if len(stray) or (len(beyond) and beyond_edge != "drop"):
        row = int(stray[0] if len(stray) else beyond[0])
        raise ChainError(
            f"{path}: row {row:,} of coords, x {xy[row, 0]:,}, y {xy[row, 1]:,}, lies beyond the slide",
            f"the slide is {slide_size_px[0]:,} x {slide_size_px[1]:,} px, a patch {side:g} px; "
            f"{len(beyond):,} of {len(xy):,} patches do",
            "is the file of this slide?" if len(stray) else "set coordinates.beyond_edge: drop to leave them out",
            ExitCode.BAD_DATA,
        )
    return xy[inside], len(beyond)


def _refuse_unwritten(path: Path, data: h5py.Dataset) -> None:
    try:
        if data.chunks is not None:
            expected = int(np.prod([-(-n // chunk) for n, chunk in zip(data.shape, data.chunks, strict=True)]))
            short = data.id.get_num_chunks() < expected
        else:
            short = data.size > 0 and data.id.get_storage_size() < data.size * data.dtype.itemsize
    except HDF5_ERRORS as error:
        raise damaged(path, "coords", error) from error
    if short:
        raise _refused(path, f"it declares {len(data):,} patches and holds fewer: its writer was stopped")


def _refuse_unfinished(path: Path, tool: str) -> None:
    if tool == "trident":
        if Path(f"{path}.lock").exists():
            raise _refused(path, f"TRIDENT's lock lies beside it ({path.name}.lock): it was stopped or still runs")
        return
    # CLAM lays patches/ beside its list of slides
    listing = path.parent.parent / "process_list_autogen.csv"
    if path.parent.name == "patches" and listing.is_file():
        for _, cells in table_rows(listing, ("slide_id", "status")):
            if PurePosixPath(cells["slide_id"]).stem == path.stem and cells["status"] == "tbp":
                raise _refused(path, f"{listing} has its slide as `tbp`, not as `processed`: CLAM was stopped")


def _of_another(path: Path, name: str, stated: float, real: float) -> ChainError:
    return _refused(path, f"{name} is {stated:g}, of this slide it is {real:g}: it was cut from another file",
                    "give the coordinates of this slide")  # fmt: skip


def _refused(path: Path, why: str, todo: str = "cut the slide again with that tool") -> ChainError:
    return ChainError(f"{path} is refused", why, todo, ExitCode.BAD_DATA)
