"""The slides of a folder as units: found, opened, checked; what is unusable is refused before hours are spent."""

import dataclasses
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data.errors import ChainError, ExitCode
from data.files.fingerprint import fingerprint
from data.patches.names import check_names
from data.patches.read_off import read_off
from data.patches.record import Record
from data.preparation import Refusal, Unit
from data.slides.annotations import annotation_files, check_claims
from data.slides.beside import refuse_shared
from data.slides.config import SlidesConfig
from data.slides.discovery import belonging, slide_files
from data.slides.foreign_coords import ForeignCoordinates, coordinate_file, found_coordinates, read_coordinates
from data.slides.slides_table import SlideRow, read_slides_table
from data.wsi.handles import Identity, identity
from data.wsi.plan import ReadPlan, plan_reading
from data.wsi.slide import SlideInfo, inspect

_LONGEST_NAME = 110


@dataclass(frozen=True)
class Listed:
    """One slide, opened. key: its relative POSIX path; patient: from the table or the pattern, "" unknown."""

    key: str
    row: SlideRow
    patient: str
    info: SlideInfo

    @property
    def slide(self) -> str:
        """What patches call it: its path without the ending."""
        return str(PurePosixPath(self.key).with_suffix(""))


def listed(config: SlidesConfig) -> list[Unit | Refusal]:
    """Every slide, in byte order of the paths. Raises ChainError (65, 66) where nothing can be listed at all."""
    keys = slide_files(config.path, config.pattern)
    rows = _rows(config)
    if config.annotations is not None:
        check_claims(config.annotations, slide_files(_folder(config), "*"))
    if config.coordinates is not None:
        refuse_shared({key: found_coordinates(config.coordinates, key) for key in keys}, "coordinates.path")
    found: list[Unit | Refusal] = []
    for key in keys:
        name = unit_name(key)
        try:
            one = _one(config, key, rows)
            plan_of(config, one)
            found.append(Unit(name, key, belonging(one.info.path), _fingerprint(config, one)))
        except ChainError as error:
            found.append(Refusal(name, key, error))
    return found


def all_bare(config: SlidesConfig) -> bool:
    """Whether not one of the slides has annotations. Raises what `listed` raises."""
    if config.annotations is None:
        return True
    bare = set(check_claims(config.annotations, slide_files(_folder(config), "*")))
    return bare.issuperset(slide_files(config.path, config.pattern))


_tables: tuple[str, Identity, dict[str, SlideRow] | None] | None = None


def listed_again(config: SlidesConfig, unit: Unit) -> Listed:
    """The slide of a unit, in the process that prepares it. Raises ChainError (78) when it is another one by now."""
    global _tables
    rows = None
    if config.table is not None:
        # a worker prepares many slides of one folder: it lists them, and reads their table, once
        text, table = config.model_dump_json(), identity(config.table)
        if _tables is None or _tables[:2] != (text, table):
            _tables = text, table, _rows(config)
        rows = _tables[2]
    one = _one(config, unit.shown, rows)
    if _fingerprint(config, one) != unit.fingerprint:
        raise ChainError(
            f"{unit.shown} has changed while it was prepared",
            "the slide, its annotations, coordinates or row of the table are not those it was listed with",
            "run the same command again",
            ExitCode.MISMATCH,
        )
    return one


def plan_of(config: SlidesConfig, one: Listed) -> tuple[ReadPlan, ForeignCoordinates | None]:
    """How the slide's patches are read, and where others have cut them. Raises ChainError (65, 66, 78)."""
    info = one.info
    if config.coordinates is None:
        assert config.mpp is not None
        return plan_reading(info, config.mpp, config.size_px, config.tolerance, config.allow_upsampling), None
    path = coordinate_file(config.coordinates, one.key)
    cut = read_coordinates(path, info.size_px, info.downsamples, config.coordinates.beyond_edge)
    mpp = info.mpp * cut.side_px / config.size_px
    if config.mpp is not None and abs(mpp / config.mpp - 1) > max(config.tolerance, 0.5 / config.size_px):
        raise ChainError(
            f"{one.key}: patches of {path.name} are {cut.side_px:g} level-0 px, at size_px: {config.size_px} "
            f"{mpp:.4g} um/px",
            f"prepare.mpp asks for {config.mpp:g}",
            "correct mpp or size_px, or leave mpp out: the coordinates then say it",
            ExitCode.MISMATCH,
        )
    return plan_reading(info, mpp, config.size_px, config.tolerance, config.allow_upsampling), cut


def unit_name(key: str) -> str:
    """A directory's name for a relative path: the path itself where it may be one, else with a hash of it.

    >>> unit_name("a/b c.svs")
    'a_b_c.svs-9e8dbb3c'
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", key).lstrip(".")
    if plain == key and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[-_LONGEST_NAME:].lstrip('.')}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _one(config: SlidesConfig, key: str, rows: dict[str, SlideRow] | None) -> Listed:
    path = _folder(config).resolve() / key
    row = SlideRow() if rows is None else rows.get(key)
    if row is None:
        raise ChainError(
            f"{key} has no row in {config.table}",
            "what the table says of the others (patients above all) must be known of every slide",
            "add its row, or leave it out (prepare.pattern)",
            ExitCode.BAD_DATA,
        )
    if row.label and config.annotations is not None:
        raise ChainError(
            f"{key} has the label {row.label!r} in {config.table}, and there are annotations",
            "a patch has one label: that of its slide, or that of its place",
            "empty the column label, or take `annotations` out",
            ExitCode.MISMATCH,
        )
    patient = _patient(config, key, row)
    info = inspect(path, row.mpp, config.missing_mpp)
    one = Listed(key, row, patient, info)
    check_names(Record(key, patient=patient, slide=one.slide), key)
    return one


def _rows(config: SlidesConfig) -> dict[str, SlideRow] | None:
    if config.table is None:
        return None
    return read_slides_table(config.table, _folder(config), set(slide_files(_folder(config), "*")))


def _folder(config: SlidesConfig) -> Path:
    return config.path.parent if config.path.is_file() else config.path


def _patient(config: SlidesConfig, key: str, row: SlideRow) -> str:
    if row.patient or config.patient_pattern is None:
        return row.patient
    found = read_off(config.patient_pattern, key, "prepare.patient_pattern")
    if not found:
        raise ChainError(
            f"prepare.patient_pattern {config.patient_pattern!r} finds nothing in {key}",
            "a slide without its patient could end up in two splits",
            "correct the expression, or name the patient in prepare.table",
            ExitCode.BAD_DATA,
        )
    return found


def _fingerprint(config: SlidesConfig, one: Listed) -> str:
    full: list[Path] = []
    if config.coordinates is not None:
        full.append(coordinate_file(config.coordinates, one.key))
    if config.annotations is not None:
        full.extend(annotation_files(config.annotations, one.key))
    # references name the slide by its place: moved, they must be made again
    place = str(one.info.path) if config.encoding == "reference" else ""
    meant = [dataclasses.asdict(one.row), one.patient, one.info.mpp]
    scanned = one.info.bounds_px
    if config.annotations is not None and scanned is not None and any(scanned[:2]):
        # where its annotations count from: such slides were labelled elsewhere by programs that did not ask
        meant.append(list(scanned))
    return fingerprint(belonging(one.info.path), full, one.key, *meant, place)
