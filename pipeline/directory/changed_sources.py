"""Do the sources still list what the patch store was made of? Asked when `run` goes on with a run directory."""

import csv
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode
from data.files.atomic import sha256_file
from data.patches.ids import patch_id
from data.patches.record import Record
from data.printable import harmless, shortened
from data.store.patch_store import PatchStore
from data.store.source_labels import read_source_labels
from pipeline.config.chain import ChainConfig
from pipeline.directory.layout import Layout, command
from pipeline.directory.record import read_record
from pipeline.plan import STORE

LOG = logging.getLogger("patchchain")


def refuse_changed(layout: Layout, config: ChainConfig) -> None:
    """Compare listings (place, label, patient, slide, site, split) with those in sources.json, then what files hold.

    Of large files size, beginning and end are read; times never count. A source that is not there any more is said,
    not refused: the store holds its patches. Raises ChainError (76, 78).
    """
    if not layout.stands(STORE):
        return
    from data.ingest import held_by, listing_sha256
    from data.patches.listing import Listing

    path = layout.place(STORE) / "sources.json"
    committed = read_record(layout.place(STORE), STORE, layout).files.get(path.name)
    if committed is None or not path.is_file() or sha256_file(path) != committed[0]:
        return  # damaged: the store is verified, and named, before anything is built on it
    stored = json.loads(path.read_bytes())
    for source in config.data.sources:
        known = stored.get(source.name)
        if known is None:  # another name or number of sources: the recipe of data/store says so
            continue
        try:
            listed = Listing.of(source.records())
        except ChainError as error:
            if error.code != ExitCode.MISSING:
                raise
            left = ", without patches that stay there (encoding: link)" if config.data.encoding == "link" else ""
            LOG.info(f"source {source.name} is not where it was: going on with the patches in {STORE}{left}")
            continue
        rows = range(len(listed))
        if listing_sha256(listed, rows, source.state()) != known["listing_sha256"]:
            raise _other(
                layout,
                f"source {source.name} lists other patches than when {STORE} was made: "
                + difference(path.parent, source.name, listed),
            )
        # an older store does not say what the files held
        if known.get("held_sha256", held := held_by(source, listed, rows)) != held:
            raise _other(
                layout, f"source {source.name} lists the same patches, and files of it changed since {STORE} was made"
            )


def difference(store: Path, source: str, listed: Sequence[Record]) -> str:
    """How many patches came, went, or stand under another label, patient, slide, site or split, and the first of each.

    store: the directory of the committed store; listed: what the source lists now.
    """
    patches = PatchStore(store / "patches.h5")
    table, said = patches.table(), read_source_labels(patches.path)
    named = np.flatnonzero(table.source.names == source)
    rows = np.flatnonzero(np.isin(table.source.codes, named))
    columns = (said.label, table.patient, table.slide, table.site, said.split)
    row_of = dict(zip(table.ids[rows].tolist(), rows.tolist(), strict=True))
    set_aside = _set_aside(store / "quarantine.csv", source)
    added, other = [], []
    for record in listed:
        row = row_of.pop(patch_id(source, record.key), None)
        if row is None:
            if harmless(record.key) not in set_aside:
                added.append(record.key)
            set_aside.discard(harmless(record.key))
        elif tuple(column[row] for column in columns) != _stands(record):
            other.append(record.key)
    gone = [patches.key(row) for row in row_of.values()] + sorted(set_aside)
    changes = {"added": added, "gone": gone, "with another label, patient, slide, site or split": other}
    found = [f"{len(keys):,} {word} ({shortened(keys[0])})" for word, keys in changes.items() if keys]
    return ", ".join(found) or "the same patches, read in another way"


def _stands(record: Record) -> tuple[str, ...]:
    return record.label, record.patient, record.slide, record.site, record.split


def _set_aside(table: Path, source: str) -> set[str]:
    with table.open(encoding="utf-8", newline="") as file:
        return {row["key"] for row in csv.DictReader(file) if row["source"] == harmless(source)}


def _other(layout: Layout, what: str) -> ChainError:
    return ChainError(
        what,
        "every later step was made from the patches in the store",
        f"keep them: {command('resume', layout.root)}; take the new ones: {layout.rerun(STORE)}",
        ExitCode.MISMATCH,
    )
