"""Do the sources still list what the patch store was made of? Asked when `run` goes on with a run directory."""

import json
import logging

from data.atomic import sha256_file
from data.errors import ChainError, ExitCode
from pipeline.chain_config import ChainConfig
from pipeline.layout import Layout
from pipeline.record import read_record

LOG = logging.getLogger("patchchain")
STORE = "data/store"


def refuse_changed(layout: Layout, config: ChainConfig) -> None:
    """Compare listings (place, label, patient, slide, site, split) with those in sources.json, then what files hold.

    Of large files size, beginning and end are read; times never count. A source that is not there any more is said,
    not refused: the store holds its patches. Raises ChainError (76, 78).
    """
    if not layout.stands(STORE):
        return
    from data.ingest import held_by, listing_sha256

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
            listed = list(source.records())
        except ChainError as error:
            if error.code != ExitCode.MISSING:
                raise
            LOG.info(f"source {source.name} is not where it was: going on with the patches in {STORE}")
            continue
        if listing_sha256(listed, source.state()) != known["listing_sha256"]:
            raise _other(
                layout,
                f"source {source.name} lists other patches than when {STORE} was made "
                f"({known['listed']:,} then, {len(listed):,} now, or their labels, patients or slides changed)",
            )
        # an older store does not say what the files held
        if known.get("held_sha256", held := held_by(source, listed)) != held:
            raise _other(
                layout, f"source {source.name} lists the same patches, and files of it changed since {STORE} was made"
            )


def _other(layout: Layout, what: str) -> ChainError:
    return ChainError(
        what,
        "every later step was made from the patches in the store",
        f"keep them: resume {layout.root}; take the new ones: {layout.rerun(STORE)}",
        ExitCode.MISMATCH,
    )
