"""What a set holds: every usable patch with its place, label, patient and slide, found once and kept.

A set is a known name below the folder of data sets, `drawn`, or the path of a manifest
(`path,label,patient,slide,split`). Splits a manifest states are kept: what it calls test is what is judged; where it
has a validation split and no test, that is; what it calls pool has no label. Everything else is drawn.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.label_efficiency.drawn import DRAWN, drawn
from data.config import DataConfig
from data.errors import ChainError, ExitCode
from data.files.atomic import canonical_json, write_bytes
from data.ingest import survey
from data.keys import uniform
from data.patches.ids import patch_id
from data.patches.record import Record
from data.patches.table import Column, PatchTable
from data.pixels.decode import decode, strict_pillow
from data.pixels.modes import Mode
from data.readers.base import Reader
from data.readers.folder import Folder
from data.readers.manifest import Manifest
from data.store.source_labels import SourceLabels

SOURCE = "main"
KNOWN = ("crc5", "crchisto27", "luna50")
COLUMNS = ("key", "label", "patient", "slide", "split")


@dataclass(frozen=True)
class Listing:
    """One row a patch, by rising id. ids: (N,) uint64; pixels: (N, 2) uint64; the rest: (N,) of str, "" unknown.

    unusable: patches left out, named with their reasons in quarantine.csv;
    root: what keys are relative to; slide: given, or a group that stands for it; mode, native_px: of every patch.
    """

    root: Path
    mode: Mode
    native_px: int
    ids: np.ndarray
    pixels: np.ndarray
    key: np.ndarray
    label: np.ndarray
    patient: np.ndarray
    slide: np.ndarray
    split: np.ndarray
    unusable: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> list[str]:
        """Every label there is, in the program's order."""
        return sorted({str(label) for label in self.label} - {""})

    @property
    def grouped(self) -> bool:
        """Whether patients or slides are known."""
        return bool((self.patient != "").any() or (self.slide != "").any())

    @property
    def group(self) -> np.ndarray:
        """(N,) int64: a code per patient, else slide, else each patch its own."""
        names = np.where(
            self.patient != "", np.char.add("p", self.patient),
            np.where(self.slide != "", np.char.add("s", self.slide), np.char.add("i", self.ids.astype(str))),
        )  # fmt: skip
        return np.unique(names, return_inverse=True)[1].astype(np.int64)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Rows of patches that are in the listing."""
        found: np.ndarray = np.searchsorted(self.ids, ids)
        assert bool((self.ids[np.minimum(found, len(self) - 1)] == ids).all()), "a patch of another set"
        return found

    def with_slides(self, slide: np.ndarray) -> "Listing":
        """The same patches with other slides: (N,) of str."""
        return replace(self, slide=slide)

    def table(self) -> tuple[PatchTable, SourceLabels]:
        """The same as the program knows it."""
        source = Column.of([SOURCE] * len(self))
        patient, slide, site = (
            Column.of([str(v) for v in values]) for values in (self.patient, self.slide, [""] * len(self))
        )
        said = SourceLabels(
            Column.of([str(v) for v in self.label]),
            Column.of([str(v) for v in self.split]),
            Column.of(["split"] * len(self)),
        )
        return PatchTable(self.ids, self.pixels, source, patient, slide, site), said


def source_of(name: str, data: Path, kept_in: Path) -> tuple[Reader, Path]:
    """The reader of a set and what its keys are relative to. kept_in: where `drawn` is drawn.

    Raises ChainError (66) for a set that is not there.
    """
    if name == "crc5":
        place = data / name
        reader: Reader = Folder(name=SOURCE, path=place)
        root = place
    else:
        place = data / name / "manifest.csv" if name in KNOWN else Path(name)
        if name == DRAWN:
            place = drawn(kept_in / DRAWN)
        reader, root = Manifest(name=SOURCE, path=place), place.parent
    if not place.exists():
        raise ChainError(
            f"the set {name} is not there: {place} is missing",
            f"a set is one of {', '.join(KNOWN)} below --data, {DRAWN}, or the path of a manifest",
            "correct the name, or say with --data where the sets lie",
            ExitCode.MISSING,
        )
    return reader, root.absolute()


def listed(name: str, data: Path, most: int, kept_in: Path) -> Listing:
    """List a set, at most `most` patches of it (0: all), or take up what an earlier start listed.

    Every patch is decoded once; those that cannot be used are left out. Raises ChainError (65, 66), and 78 where
    another set was listed here.
    """
    reader, root = source_of(name, data, kept_in)
    records = list(reader.records())
    signed = _signed(records, root, most)
    path = kept_in / "listed.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            if str(file["signed"]) != signed:
                raise ChainError(
                    f"{path} lists another set: patches, what is said of them, or how many are taken differ",
                    "a table is of one set, listed once",
                    f"name another --into, or remove {kept_in}",
                    ExitCode.MISMATCH,
                )
            mode, native, bad = str(file["mode"]), int(file["native_px"]), int(file["unusable"])
            columns = {column: file[column] for column in (*COLUMNS, "ids", "pixels")}
        return Listing(root=root, mode=mode, native_px=native, unusable=bad, **columns)  # type: ignore[arg-type]
    found = _surveyed(reader, records, root, most, kept_in)
    buffer = io.BytesIO()
    columns = {column: getattr(found, column) for column in (*COLUMNS, "ids", "pixels")}
    about = {name: np.array(getattr(found, name)) for name in ("mode", "native_px", "unusable")}
    about["signed"] = np.array(signed)
    np.savez(buffer, allow_pickle=False, **about, **columns)
    write_bytes(path, buffer.getvalue())
    return found


def _signed(found: Sequence[Record], root: Path, most: int) -> str:
    # not where it lies; sizes, as the same names may stand for the patches in another stain or resolution
    said = [[*(getattr(record, column) for column in COLUMNS), (root / record.key).stat().st_size] for record in found]
    return hashlib.sha256(canonical_json([most, said])).hexdigest()


def _surveyed(reader: Reader, found: Sequence[Record], root: Path, most: int, kept_in: Path) -> Listing:
    records = {patch_id(SOURCE, record.key): record for record in found}
    mode, native = _kind(reader, records)
    surveyed = survey(DataConfig(sources=[reader], size_px=native, mode=mode), kept_in / "quarantine.csv")
    table = surveyed.table
    order = np.argsort(table.ids, kind="stable")
    if most:
        order = np.sort(order[np.argsort(uniform(table.ids[order], "few"), kind="stable")[:most]])
        order = order[np.argsort(table.ids[order], kind="stable")]
    chosen = [records[int(one)] for one in table.ids[order]]
    columns = {column: np.array([getattr(record, column) for record in chosen], np.str_) for column in COLUMNS}
    columns["split"] = judged_split(columns["split"])
    bad = len(surveyed.quarantined)
    return Listing(root, mode, native, table.ids[order], table.pixels[order], **columns, unusable=bad)


def judged_split(split: np.ndarray) -> np.ndarray:
    """What a set says of its splits as it is used here: (N,) of str, "" where it is drawn.

    `train` and `labelled` are drawn from, `validation` is the test split of a set that has no other.
    """
    said = np.where(np.isin(split, ("train", "labelled")), "", split)
    if (said == "validation").any() and not (said == "test").any():
        said = np.where(said == "validation", "test", said)
    return np.where(np.isin(said, ("test", "pool")), said, "").astype(np.str_)


def _kind(reader: Reader, records: dict[int, Record]) -> tuple[Mode, int]:
    first = records[min(records)]
    with strict_pillow():
        content = reader.content(first)
        assert isinstance(content, bytes)
        pixels, mode, _ = decode(content)
    if pixels.shape[0] != pixels.shape[1]:
        raise ChainError(
            f"{first.key} is {pixels.shape[1]} x {pixels.shape[0]} px",
            "patches are squares",
            "cut them square",
            ExitCode.BAD_DATA,
        )
    if mode not in ("rgb8", "grey8"):
        raise ChainError(
            f"{first.key} is {mode}",
            "the frozen encoder of the probes, and what groups patches by colour, see 8 bits",
            "write the patches as 8-bit RGB or grey; a chain itself takes them as they are",
            ExitCode.BAD_DATA,
        )
    return mode, int(pixels.shape[0])
