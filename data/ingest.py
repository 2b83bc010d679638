"""Sources in, patch store and quarantine table out. Every patch is decoded fully, once, on the way."""

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data import fault
from data.config import DataConfig
from data.cores import cores
from data.errors import ChainError, ExitCode
from data.files.disk import refuse_if_short
from data.in_order import CHUNK, in_order
from data.patches.given import GIVEN
from data.patches.ids import patch_id
from data.patches.listing import Listing
from data.patches.names import check_names, refuse_blank_twins
from data.patches.quarantine import Quarantined, check_limit, write_quarantine
from data.patches.record import Record
from data.patches.reference import Reference
from data.patches.resolutions import warn_of_resolutions
from data.patches.table import PatchTable
from data.pixels.bad_patch import BadPatch
from data.pixels.decode import decode, pixel_digest, strict_pillow
from data.pixels.fit import check_depth, check_mode, to_size
from data.pixels.modes import mode_of, with_channels
from data.printable import shortened
from data.readers.base import Reader
from data.splits.other_keys import warn_of_other_keys
from data.store.source_labels import SourceLabels
from data.store.table_builder import TableBuilder
from data.store.writer import writing_store

Progress = Callable[[int, int], None]
MOST_THREADS = 16
SEPARATOR = "\x1f"  # of a listing's fields: no name holds it (data.patches.names)
# once over the limit it is certain that the command fails: go on only until the table is of use
ENOUGH_BAD = 1000


@dataclass(frozen=True)
class SourceCount:
    """listing_sha256: over the sorted lines (key, label, patient, slide, site, split) of everything listed, and the
    state of the source. held_sha256: a quick digest of the files it lies in (see Reader.held).
    """

    listed: int
    stored: int
    quarantined: int
    listing_sha256: str
    held_sha256: str


@dataclass(frozen=True)
class Survey:
    """What the sources hold: the same table and labels that the store would give, in the same order.

    content_bytes: of what the store holds of all patches, its table apart; warnings: what people should know of how
    the sources go together.
    """

    table: PatchTable
    labels: SourceLabels
    classes: tuple[str, ...]
    sources: dict[str, SourceCount]
    quarantined: list[Quarantined]
    content_bytes: int
    warnings: list[str]


class _Listed(NamedTuple):
    """bounds: where the rows of each reader begin in the listing, and where they end; ids: (N,) uint64."""

    readers: list[Reader]
    bounds: list[int]
    listing: Listing
    ids: np.ndarray

    def reader(self, row: int) -> Reader:
        return self.readers[bisect_right(self.bounds, row) - 1]

    def rows(self) -> dict[str, range]:
        return {reader.name: range(*rows) for reader, rows in zip(self.readers, pairwise(self.bounds), strict=True)}

    def warnings(self) -> list[str]:
        return warn_of_other_keys(self.readers) + warn_of_resolutions(self.listing, self.rows())


class _Kept(NamedTuple):
    reader: Reader
    digest: tuple[int, int]
    content: bytes | np.ndarray | Reference

    @property
    def n_bytes(self) -> int:
        """What a store holds of it."""
        if isinstance(self.content, np.ndarray):
            return self.content.nbytes
        return len(self.content.payload if isinstance(self.content, Reference) else self.content)


def ingest(
    config: DataConfig, store: Path, quarantine: Path, progress: Progress | None = None, table_name: str | None = None
) -> Survey:
    """Write the patch store and the quarantine table.

    The result is byte for byte a function of the configuration and the sources. `table_name`: what messages call
    the quarantine table. Raises ChainError (65) over the quarantine limit, after writing the table and no store.
    """
    listed = _list(config)
    with writing_store(store, config.mode, config.size_px, config.depth, listed.listing) as writer:

        def add(row: int, kept: _Kept) -> None:
            reader, digest, content = kept
            writer.add(int(listed.ids[row]), row, reader.name, reader.part, digest, content)

        def going_on(done: int, total: int) -> None:
            # a spool and then the file: what is not spooled yet, and all of it once more
            refuse_if_short(store.parent, writer.n_bytes / done * (2 * total - done), f"the store of {total:,} patches")
            if progress is not None:
                progress(done, total)

        bad = _pass(config, listed, add, quarantine, table_name or str(quarantine), going_on)
        labels = writer.labels()
        writer.classes = _classes(config, labels)
        writer.windows = tuple(config.windows or ())
        table = writer.table()
    return Survey(table, labels, writer.classes, _counts(listed, bad), bad, writer.n_bytes, listed.warnings())


def survey(config: DataConfig, write_to: Path | None = None, progress: Progress | None = None) -> Survey:
    """The same pass without a store: every patch is decoded, checked and hashed, then dropped.

    `write_to`: where the quarantine table goes; None: nowhere. Raises what `ingest` raises.
    """
    listed = _list(config)
    table, content_bytes = TableBuilder(listed.listing), 0

    def add(row: int, kept: _Kept) -> None:
        nonlocal content_bytes
        content_bytes += kept.n_bytes
        table.add(row, int(listed.ids[row]), kept.reader.name, kept.reader.part, kept.digest)

    name = str(write_to) if write_to else "the quarantine table of `run`"
    bad = _pass(config, listed, add, write_to, name, progress)
    labels = table.labels()
    return Survey(
        table.table(), labels, _classes(config, labels), _counts(listed, bad), bad, content_bytes, listed.warnings()
    )


def listing_sha256(listing: Listing, rows: range, state: str = "") -> str:
    """Digest of what a source lists, whatever the order, and of its state (see Reader). rows: the source's."""
    digest = hashlib.sha256()
    for r in listing.by_key(rows, SEPARATOR.encode()):
        digest.update(SEPARATOR.join((r.key, r.label, r.patient, r.slide, r.site, r.split)).encode() + b"\n")
    digest.update(state.encode())
    return digest.hexdigest()


def held_by(reader: Reader, listing: Listing, rows: range) -> str:
    """A quick digest of the files that a source lists, whatever the order."""
    return reader.held(listing.by_key(rows))


def _list(config: DataConfig) -> _Listed:
    listing, ids, bounds = Listing(), array("Q"), [0]
    for reader in config.sources:
        for record in reader.records():
            _check(record, reader.name, config.classes)
            listing.add(record)
            ids.append(patch_id(reader.name, record.key))
        if len(listing) == bounds[-1]:
            raise ChainError(f"source {reader.name} lists no patches", "nothing of its kind lies there",
                             "correct its path or kind, or leave the source out", ExitCode.MISSING)  # fmt: skip
        bounds.append(len(listing))
    listing.forget_empty_numbers()
    refuse_blank_twins(config.classes or listing.texts["label"].column().names)
    listed = _Listed(config.sources, bounds, listing, np.array(ids, np.uint64))
    _refuse_twice(listed)
    return listed


def _refuse_twice(listed: _Listed) -> None:
    order = np.argsort(listed.ids, kind="stable")
    twice = np.flatnonzero(np.diff(listed.ids[order]) == 0)
    if len(twice) == 0:
        return
    first, second = (int(order[twice[0] + i]) for i in (0, 1))
    (source, key), (other, again) = ((listed.reader(row).name, listed.listing[row].key) for row in (first, second))
    same = (source, key) == (other, again)
    raise ChainError(
        f"source {other}: {again} has the same id as {key} of {source}",
        "the source lists it twice" if same else "two names in about 10^19 share an id",
        "list it once" if same else "rename the file or the source",
        ExitCode.BAD_DATA,
    )


def _check(record: Record, source: str, classes: list[str] | None) -> None:
    check_names(record, f"source {source}: {shortened(record.key)}")
    assert record.split in GIVEN, f"a reader gives known splits, not {record.split!r}"
    if record.label and classes is not None and record.label not in classes:
        raise ChainError(
            f"source {source}: {record.key} has the label {shortened(record.label)!r}",
            f"data.classes knows {', '.join(map(shortened, classes))}",
            "add the class (it then needs labels that train), correct the label, or leave the patch out of the source",
            ExitCode.MISMATCH,
        )


def _pass(
    config: DataConfig,
    listed: _Listed,
    add: Callable[[int, _Kept], None],
    quarantine: Path | None,
    table_name: str,
    progress: Progress | None,
) -> list[Quarantined]:
    """Decode everything in order; give what is good to `add`, write and return what is not."""
    bad: list[Quarantined] = []
    bad_rows: list[int] = []
    done, total = 0, len(listed.listing)

    def take(row: int) -> _Kept:
        return _take(listed.reader(row), listed.listing[row], config)

    with strict_pillow():
        for row, result in in_order(range(total), take, min(MOST_THREADS, cores())):
            done += 1
            if isinstance(result, BadPatch):
                bad.append(Quarantined(listed.reader(row).name, listed.listing[row].key, result.reason))
                bad_rows.append(row)
                if len(bad) >= ENOUGH_BAD and len(bad) > config.quarantine_limit * total:
                    break
            else:
                add(row, result)
            if done % CHUNK == 0 or done == total:
                fault.point("ingest.chunk")
                if progress is not None:
                    progress(done, total)
    if quarantine is not None:
        write_quarantine(quarantine, bad)
    check_limit(bad, total, config.quarantine_limit, table_name, seen=done)
    if done == len(bad):
        raise ChainError("no patch could be used", bad[0].reason, f"see {table_name}", ExitCode.BAD_DATA)
    _refuse_lost_class(listed.listing, bad, bad_rows, table_name)
    return bad


def _refuse_lost_class(listing: Listing, bad: list[Quarantined], rows: list[int], table_name: str) -> None:
    """Raise ChainError (65) where all patches of a class are among the bad `rows`: it would be gone unseen."""
    if not rows:
        return
    label = listing.texts["label"].column()
    codes = label.codes[rows]
    bad_of, of = (np.bincount(some[some >= 0], minlength=len(label.names)) for some in (codes, label.codes))
    gone = np.flatnonzero((of > 0) & (bad_of == of))
    if len(gone):
        code = int(gone[0])
        first = bad[int(np.flatnonzero(codes == code)[0])]
        raise ChainError(
            f"not one of the {int(of[code]):,} patches of class {shortened(str(label.names[code]))} can be used"
            + (f"; nor of {len(gone) - 1:,} more classes" if len(gone) > 1 else ""),
            f"{first.source}: {first.key}: {first.reason}",
            f"mend them, or take the class out of the sources; see {table_name}",
            ExitCode.BAD_DATA,
        )


def _take(reader: Reader, record: Record, config: DataConfig) -> _Kept:
    content = reader.content(record)
    if isinstance(content, bytes):
        pixels, mode, as_is = decode(content)
    else:
        as_is = isinstance(content, Reference)
        pixels = with_channels(content.pixels() if isinstance(content, Reference) else content)
        mode = mode_of(pixels)
    check_mode(mode, config.mode)
    check_depth(pixels, mode, config.depth)
    fitted = to_size(pixels, config.size_px, config.resize)
    if fitted is not pixels or config.encoding == "raw":
        kept: bytes | np.ndarray | Reference = fitted
    else:
        kept = content if as_is else pixels
        if config.encoding == "link" and not isinstance(kept, Reference):
            kept = reader.link(record) or kept
    return _Kept(reader, pixel_digest(fitted, mode), kept)


def _classes(config: DataConfig, labels: SourceLabels) -> tuple[str, ...]:
    if config.classes is not None:
        return tuple(config.classes)
    return tuple(sorted(map(str, labels.label.names)))


def _counts(listed: _Listed, bad: list[Quarantined]) -> dict[str, SourceCount]:
    counts = {}
    for reader, rows in zip(listed.readers, listed.rows().values(), strict=True):
        lost = sum(row.source == reader.name for row in bad)
        digests = listing_sha256(listed.listing, rows, reader.state()), held_by(reader, listed.listing, rows)
        counts[reader.name] = SourceCount(len(rows), len(rows) - lost, lost, *digests)
    return counts
