"""Labelling in shards: each written once and whole, keyed by patch id; `merge.py` makes one file of them."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data import fault
from data.files.atomic import replacing
from stages.loading import in_batches
from stages.process import heartbeat

LOOK_EVERY_S = 0.5


class Shards:
    """Consecutive runs of the patches to score, a fixed number of batches each.

    ids: (N,) uint64 in reading order; columns: name -> shape a patch, kept as float16. Batches never cross a
    shard, so which patches share a batch does not depend on which shards are still missing, and a resumed labelling
    gives the same bytes.
    """

    def __init__(
        self,
        directory: Path,
        ids: np.ndarray,
        columns: Mapping[str, tuple[int, ...]],
        batch_size: int,
        shard_batches: int,
    ) -> None:
        self.directory, self.ids, self.columns = directory, ids, dict(sorted(columns.items()))
        self._dtype = np.dtype(
            [("id", np.uint64), *((name, np.float16, shape) for name, shape in self.columns.items())]
        )
        self._batches = in_batches(len(ids), batch_size)
        self._runs = in_batches(len(self._batches), shard_batches)
        self._ends = np.array([self._batches[run[-1]].stop for run in self._runs], np.int64)
        self._open: list[Mapping[str, np.ndarray]] = []
        directory.mkdir(parents=True, exist_ok=True)

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def row_bytes(self) -> int:
        """Of one patch."""
        return self._dtype.itemsize

    def missing(self) -> list[int]:
        """The shards that are not on disk, or not whole, or not of these patches."""
        return [shard for shard in range(len(self)) if self._read(shard) is None]

    def wait(self, shards: list[int]) -> None:
        """Return when other ranks have written `shards`; who watches the ranks ends the wait when one of them dies."""
        left = list(shards)
        while left := [shard for shard in left if not self._path(shard).exists() or self._read(shard) is None]:
            heartbeat.tick()
            time.sleep(LOOK_EVERY_S)

    def batches(self, shards: list[int]) -> list[range]:
        """The batches of `shards`, as indices into ids, in order."""
        return [self._batches[k] for shard in shards for k in self._runs[shard]]

    def add(self, index: np.ndarray, found: Mapping[str, np.ndarray]) -> bool:
        """Take a scored batch (in the order of `batches`); its shard is written when its last batch has come.

        Returns whether it was: then nothing waits.
        """
        self._open.append(found)
        shard = int(np.searchsorted(self._ends, index[-1], side="right"))
        if index[-1] + 1 == self._ends[shard]:
            self._write(shard, {name: np.concatenate([part[name] for part in self._open]) for name in found})
            self._open = []
        return not self._open

    def read(self, shard: int) -> np.ndarray:
        """One shard that is there, in reading order: a structured array of `id` and the columns."""
        rows = self._read(shard)
        assert rows is not None, f"shard {shard} is not there"
        return rows

    def _span(self, shard: int) -> slice:
        return slice(self._batches[self._runs[shard][0]].start, int(self._ends[shard]))

    def _path(self, shard: int) -> Path:
        return self.directory / f"shard-{shard:06d}.npy"

    def _write(self, shard: int, found: Mapping[str, np.ndarray]) -> None:
        ids = self.ids[self._span(shard)]
        rows = np.empty(len(ids), self._dtype)
        rows["id"] = ids
        for name, values in found.items():
            rows[name] = values
        with replacing(self._path(shard)) as part, part.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
            file.flush()
            fault.written("shard.mid_write", part)
        fault.written("shard.saved", self._path(shard))

    def _read(self, shard: int) -> np.ndarray | None:
        try:
            rows: np.ndarray = np.load(self._path(shard), allow_pickle=False)
        except (FileNotFoundError, ValueError, EOFError):
            return None
        whole = rows.dtype == self._dtype and np.array_equal(rows["id"], self.ids[self._span(shard)])
        return rows if whole else None
