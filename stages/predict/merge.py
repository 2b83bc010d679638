"""From shards in the order of the disk to files in the order of ids, without the scores in memory.

A file is laid out whole, and its datasets, which are contiguous, are mapped; then a run of shards at a time is put
where its ids stand. What the file holds is the system's to keep in memory or to write out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.files.atomic import replacing
from stages.blocks import let_go
from stages.predict.embedding import lay_out_embeddings
from stages.predict.shards import Shards
from stages.scores import found_in, lay_out_scores

RUN_BYTES = 64 << 20  # of shards put in place at a time: sorted by id, so that neighbours are written together


@dataclass(frozen=True)
class Place:
    """Where rows belong. ids: (M,) uint64 ascending; columns: name -> writable array, (M, ...), one row an id."""

    ids: np.ndarray
    columns: Mapping[str, np.ndarray]


def merge_scores(path: Path, shards: Shards, parts: Mapping[str, np.ndarray]) -> None:
    """Write `scores.h5`: of each part, given by its ids (ascending), all that the shards say but for embeddings."""
    columns = {name: shape for name, shape in shards.columns.items() if name not in ("embeddings", "style")}
    with replacing(path) as part:
        found = lay_out_scores(part, parts, columns)
        fill(shards, [Place(ids, found[name]) for name, ids in parts.items()])


def merge_embeddings(path: Path, shards: Shards, column: str) -> None:
    """Write ids and a column of embeddings of every patch in the shards."""
    ids = np.sort(shards.ids)
    with replacing(path) as part:
        values = lay_out_embeddings(part, ids, *shards.columns[column])
        fill(shards, [Place(ids, {column: values})])


def fill(shards: Shards, places: list[Place]) -> None:
    """Put the rows of shards into `places`; asserts that each id of a place is there once."""
    found = [np.zeros(len(place.ids), bool) for place in places]
    for rows in _runs(shards):
        assert bool((rows["id"][1:] > rows["id"][:-1]).all()), "a patch was scored twice"
        for place, seen in zip(places, found, strict=True):
            own, at = found_in(place.ids, rows["id"])
            assert not seen[at].any(), "a patch was scored twice"
            seen[at] = True
            for name, values in place.columns.items():
                values[at] = rows[name][own]
                let_go(values)
    assert all(seen.all() for seen in found), "a patch was not scored"


def _runs(shards: Shards) -> Iterator[np.ndarray]:
    # rows of consecutive shards by rising id
    each = max(1, RUN_BYTES // max(1, shards.row_bytes * len(shards.ids) // max(1, len(shards))))
    for start in range(0, len(shards), each):
        rows = np.concatenate([shards.read(shard) for shard in range(start, min(start + each, len(shards)))])
        yield rows[np.argsort(rows["id"], kind="stable")]
