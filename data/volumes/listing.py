"""Volumes with everything that belongs to them: their points, their row of the table, their masks."""

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import ChainError, ExitCode
from data.files.fingerprint import fingerprint
from data.preparation import Refusal, Unit
from data.volumes import masks, points, series_table
from data.volumes.config import AtPoints, Grid, MaskFolder, MaskLabels, PointLabels, VolumeLabels, VolumesConfig
from data.volumes.csv_table import lines_text
from data.volumes.discovery import find_volumes
from data.volumes.found import Found
from data.volumes.points import Point, read_points
from data.volumes.reasons import LEFT_OUT, Reason
from data.volumes.series_table import SeriesRow, read_series_table

# faults that headers show: accepting one changes the volumes that have it, and no other
GEOMETRY = frozenset({Reason.GANTRY_TILT, Reason.OBLIQUE, Reason.UNEVEN_SPACING, Reason.MISSING_SLICES})


@dataclass(frozen=True)
class Listed:
    """One volume to be prepared. points: sorted by place; region, label: files of its masks, none if not asked for."""

    unit: Unit
    found: Found
    row: SeriesRow
    points: tuple[Point, ...]
    region: tuple[Path, ...]
    label: tuple[Path, ...]


class _Lacking(Exception):  # noqa: N818 - a volume without something it needs; never leaves this file
    def __init__(self, what: str, todo: str) -> None:
        self.what, self.todo = what, todo


def listed(config: VolumesConfig, key: bytes) -> list[Listed | Refusal]:
    """Every volume in the order of its keyed hash; headers, tables and masks' bytes are read, no pixels.

    Raises ChainError: 66 where nothing is found or a table is missing; 65 for a broken table, or (unless
    `unmatched: skip`) one with rows about no volume, or about several.
    """
    every = find_volumes(config.path, key, config.pattern, config.accept)
    parts = _Parts(config, key)
    found = [one for one in every if not parts.is_mask(one)]
    if not found:
        raise ChainError("no volume is found in `path`", "every file there is taken for a mask, by its name",
                         "correct `path`, or `suffix` of the masks", ExitCode.MISSING)  # fmt: skip
    parts.check(found)
    volumes: list[Listed | Refusal] = []
    lacking: ChainError | None = None
    for one in found:
        if one.refusal is not None:
            volumes.append(Refusal(one.pseudonym, one.pseudonym, one.refusal))
            continue
        try:
            volumes.append(parts.of(one))
        except _Lacking as lack:
            lacking = ChainError(
                f"volume {one.pseudonym} has no {lack.what}", "it cannot be prepared without",
                f"{lack.todo}, or set unmatched: skip to leave such volumes out", ExitCode.MISSING,
            )  # fmt: skip
            if config.unmatched == "refuse":
                volumes.append(Refusal(one.pseudonym, one.pseudonym, lacking))
    if not volumes and lacking is not None:
        raise ChainError(f"none of {len(found):,} volumes is left: the last, {lacking.what}", lacking.why,
                         "name volumes by series UID or by file name", ExitCode.MISSING)  # fmt: skip
    return volumes


_tables: tuple[str, bytes, "_Parts"] | None = None


def listed_again(config: VolumesConfig, unit: Unit, key: bytes) -> Listed:
    """What `listed` gave for a unit, in another process. Raises ChainError (78) when it has changed since."""
    global _tables
    # a worker prepares many units of one configuration: it reads the tables once, and of `path` the unit's files
    text = config.model_dump_json()
    if _tables is None or _tables[:2] != (text, key):
        _tables = text, key, _Parts(config, key)
    for only in (unit.paths, None):  # of a series that was divided, the parts are told apart by its other files
        with contextlib.suppress(ChainError):
            for one in find_volumes(config.path, key, config.pattern, config.accept, only):
                if one.pseudonym == unit.name and one.refusal is None:
                    with contextlib.suppress(_Lacking):
                        again = _tables[2].of(one)
                        if again.unit == unit:
                            return again
    raise ChainError(f"volume {unit.shown} has changed while it was prepared",
                     "its files, points, table or masks are not those it was listed with",
                     "run the same command again", ExitCode.MISMATCH)  # fmt: skip


class _Parts:
    """What the tables and folders of a configuration say of each volume."""

    def __init__(self, config: VolumesConfig, key: bytes) -> None:
        self._config = config
        self._points = self._rows = None
        if config.points is not None:
            self._points = read_points(config.points, key, isinstance(config.labels, PointLabels))
        if config.table is not None:
            self._rows = read_series_table(config.table, key, isinstance(config.labels, VolumeLabels))
        region = config.where.masks if isinstance(config.where, Grid) else None
        label = config.labels.masks if isinstance(config.labels, MaskLabels) else None
        self._region = _MaskFinder(region, key, "where.masks", config.path)
        self._label = _MaskFinder(label, key, "labels.masks", config.path)

    def check(self, found: list[Found]) -> None:
        """Raise ChainError (65) when rows are about no volume (unless they are to be passed over), or about several.

        A mask may be of several reconstructions, but of one patient.
        """
        owners: dict[str, set[str]] = defaultdict(set)
        patients: dict[str, set[str]] = defaultdict(set)
        for one in found:
            for alias in one.aliases:
                owners[alias].add(one.pseudonym)
                # volumes of nobody are each of another patient
                patients[alias].add(self._patient(one) or f"of {one.pseudonym}")
        for masks_of in (self._region, self._label):
            masks_of.check(patients)
        if self._points is not None:
            self._check(owners, self._points.lines, points.CALLED)
        if self._rows is not None:
            self._check(owners, {name: (line,) for name, line in self._rows.lines.items()}, series_table.CALLED)

    def is_mask(self, found: Found) -> bool:
        """Whether what was found is a mask that lies beside the volumes."""
        return any(found.paths[0] in masks_of.beside for masks_of in (self._region, self._label))

    def of(self, found: Found) -> Listed:
        """Raises _Lacking, ChainError (65)."""
        row = self._row(found)
        own = self._own_points(found)
        region, label = self._region.of(found), self._label.of(found)
        of_points = [[*point.zyx_mm, point.label] for point in own]
        # moving a file, or another volume's rows, change nothing
        accepted = sorted((set(self._config.accept) - GEOMETRY - LEFT_OUT) | found.mended)
        whole = fingerprint((), (*region, *label), found.fingerprint, found.patient, list(row), of_points, accepted)
        name = found.pseudonym
        return Listed(Unit(name, name, found.paths, whole), found, row, own, region, label)

    def _patient(self, found: Found) -> str:
        rows = self._rows.rows if self._rows is not None else {}
        return next((rows[alias].patient for alias in sorted(found.aliases) if alias in rows), "") or found.patient

    def _own_points(self, found: Found) -> tuple[Point, ...]:
        if self._points is None:
            return ()
        own = {point for alias in found.aliases for point in self._points.by_name.get(alias, ())}
        if isinstance(self._config.where, AtPoints) and not own:
            raise _Lacking(f"point in {points.CALLED}", "add its points")
        places = {point.zyx_mm for point in own}
        if len(places) < len(own):
            raise ChainError(f"volume {found.pseudonym}: {points.CALLED} gives a point of it two classes",
                             "under two names of the volume", "call it by one name", ExitCode.BAD_DATA)  # fmt: skip
        return tuple(sorted(own))

    def _row(self, found: Found) -> SeriesRow:
        if self._rows is None:
            return SeriesRow()
        rows = [self._rows.rows[alias] for alias in sorted(found.aliases) if alias in self._rows.rows]
        if len(rows) > 1:
            raise ChainError(f"volume {found.pseudonym} has {len(rows)} rows in {series_table.CALLED}",
                             "under several names", "keep one of them", ExitCode.BAD_DATA)  # fmt: skip
        if not rows:
            if self._config.unmatched == "skip":
                return SeriesRow()
            raise _Lacking(f"row in {series_table.CALLED}", "add one")
        return rows[0]

    def _check(self, owners: Mapping[str, set[str]], lines: Mapping[str, tuple[int, ...]], called: str) -> None:
        strange = sorted(line for name, of in lines.items() if name not in owners for line in of)
        several = sorted(line for name, of in lines.items() if len(owners.get(name, ())) > 1 for line in of)
        if several:
            raise ChainError(f"{called}: {lines_text(several)} may mean several volumes", "they share a name",
                             "call each by its path below `path`", ExitCode.BAD_DATA)  # fmt: skip
        every = len(strange) == sum(map(len, lines.values()))
        if strange and (every or self._config.unmatched == "refuse"):
            raise ChainError(
                f"{called}: {lines_text(strange)} {'is' if len(strange) == 1 else 'are'} about no volume in `path`",
                "a volume is called by its series UID, its file name, or its path below `path`",
                "correct the names" if every else "correct the names, or set unmatched: skip to pass over such rows",
                ExitCode.BAD_DATA,
            )


class _MaskFinder:
    def __init__(self, config: MaskFolder | None, key: bytes, called: str, volumes: Path) -> None:
        """volumes: where they lie. `beside`: files of masks, which are no volumes wherever they lie."""
        self._called = f"prepare.{called}"
        self._masks = (
            None if config is None else masks.find_masks(config.folder, config.strip, config.suffix, key, self._called)
        )
        # without a suffix, and in a folder of all volumes, a mask would be the volume of its name
        apart = config is not None and (
            config.suffix or not volumes.absolute().is_relative_to(config.folder.absolute())
        )
        named = self._masks.values() if self._masks is not None and apart else ()
        self.beside = {files[0] for several in named for files in several}

    def check(self, patients: Mapping[str, set[str]]) -> None:
        """patients: by what volumes may be called. Raises ChainError (65) when a mask may be of several."""
        several = sum(len(patients.get(name, ())) > 1 for name in self._masks or ())
        if several:
            raise ChainError(f"{self._called}: {several:,} {'mask' if several == 1 else 'masks'} may mean volumes of "
                             "several patients", "they share a name",
                             "give the files names of their own, or say in prepare.table that the patient is one; "
                             "of DICOM, keep each in a folder of its own, and call its mask like that folder",
                             ExitCode.BAD_DATA)  # fmt: skip

    def of(self, found: Found) -> tuple[Path, ...]:
        """() where no masks are asked for. Raises _Lacking, ChainError (65)."""
        if self._masks is None:
            return ()
        mine = sorted({files for alias in found.aliases for files in self._masks.get(alias, ())})
        if len(mine) > 1:
            raise ChainError(f"volume {found.pseudonym} has {len(mine)} masks in {self._called}",
                             "which one is meant is not known", "keep one", ExitCode.BAD_DATA)  # fmt: skip
        if not mine:
            raise _Lacking(f"mask in {self._called}", "add it, or correct `suffix` and `strip`")
        return mine[0]
