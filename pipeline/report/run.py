"""A run directory as the report reads it: what stands, round by round, in arrays. Reads committed files only."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from data.errors import ChainError, ExitCode
from data.patches.labels import AuditLabels, GivenLabels
from data.patches.table import PatchTable
from data.splits.review_words import FILE, ROLE
from data.splits.reviewed import Reviewed, honoured, read_reviews
from data.splits.written import Splits, load_audit, load_splits
from data.store.patch_store import PatchStore
from pipeline.config.yaml_text import read_yaml
from pipeline.directory.layout import Layout
from pipeline.directory.record import damaged, read_facts, read_record
from pipeline.directory.reviews import addresses
from pipeline.plan import FINAL, SPLITS, STORE, at
from pipeline.report.owners import Owners, owners
from pipeline.views.inspection import findings
from pipeline.views.status import rounds_of
from stages.scores import Scores, read_scores
from stages.select.belief import Belief
from stages.select.believed_scores import BELIEVED, believed_scores
from stages.select.selection import Selection, read_selection

PIECE = 1 << 18  # rows at a time


@dataclass(frozen=True)
class Run:
    """What a run directory holds. found: the document of `inspect --json`, where every figure of it comes from."""

    layout: Layout
    found: dict[str, Any]
    config: dict[str, Any]

    @staticmethod
    def open(layout: Layout) -> "Run":
        """Raises ChainError: 66 where there is no run directory, 76 where a committed file cannot be read."""
        rounds_of(layout)
        return Run(layout, findings(layout), dict(read_yaml(layout.config).value))

    @property
    def drawn(self) -> bool:
        """Whether patches are stored and split: before that there is nothing to show."""
        return self.layout.stands(STORE) and self.layout.stands(SPLITS)

    @cached_property
    def store(self) -> PatchStore:
        """Patches by row."""
        return PatchStore(self.layout.place(STORE) / "patches.h5")

    @cached_property
    def table(self) -> PatchTable:
        """Whose every patch is, in the order of the store."""
        return self.store.table()

    @cached_property
    def splits(self) -> Splits:
        """Who is in which split, without the truth of the pool."""
        return load_splits(self.layout.place(SPLITS))

    @cached_property
    def audit(self) -> AuditLabels:
        """Hidden truth of the pool, where a source knows it: shown, and marked as audit."""
        return load_audit(self.layout.place(SPLITS))

    @cached_property
    def slides(self) -> Owners:
        """Of every row of the store."""
        return owners(self.table, "slide")

    @cached_property
    def patients(self) -> Owners:
        """Of every row of the store."""
        return owners(self.table, "patient")

    @cached_property
    def sites(self) -> Owners:
        """Of every row of the store."""
        return owners(self.table, "site")

    @property
    def classes(self) -> tuple[str, ...]:
        """In order."""
        return self.splits.classes

    @property
    def seed(self) -> int:
        """Of the chain; samples of the report are keyed by it."""
        return int(self.config.get("seed", 0))

    @property
    def numbers(self) -> list[int]:
        """Rounds that have a selection."""
        return [int(one["round"]) for one in self.found["rounds"]]

    def rounds(self) -> Iterator["Round"]:
        """Each with a selection, in order; only one is in memory beside the one before."""
        for number in self.numbers:
            yield self.round(number)

    def round(self, number: int) -> "Round":
        """Raises ChainError: 66 where the round has no selection, 76 where a file of it is gone or cannot be read."""
        if number not in self.numbers:
            raise ChainError(
                f"{self.layout.root}: round {number} has no selection",
                f"rounds with one: {', '.join(map(str, self.numbers)) or 'none yet'}",
                "see `status` for what is done",
                ExitCode.MISSING,
            )
        predict, select = (self.layout.place(at(number, name)) for name in ("predict", "select"))
        for step, name in (("predict", "scores.h5"), ("select", "selection.parquet")):
            if not (self.layout.place(at(number, step)) / name).is_file():
                raise damaged(self.layout, at(number, step), f"{at(number, step)}/{name} is missing")
        pool = believed_scores(select, predict, "pool")
        pool = pool.without(self._honoured_by(at(number, "select")).ids)  # what people looked at is no longer pool
        belief = Belief.load(select)
        found = self.found["rounds"][self.numbers.index(number)]
        return Round(number, found, belief, pool, self.selection(number), self.store, self.layout)

    def selection(self, number: int) -> Selection:
        """What a round with a selection kept. Raises ChainError (76) where it cannot be read."""
        return read_selection(self.layout.place(at(number, "select")) / "selection.parquet")

    @cached_property
    def given(self) -> Splits:
        """The splits with every review that is in place: what is labelled now, and what is pool."""
        return honoured(self.splits, self.reviewed)

    @cached_property
    def reviewed(self) -> Reviewed:
        """What people have said so far, whether a step honours it yet or not."""
        files = [self.layout.place(address) / FILE for address in addresses(self.layout)]
        return read_reviews(files, self.classes)

    def _honoured_by(self, address: str) -> Reviewed:
        inputs = read_record(self.layout.place(address), address, self.layout).recipe["inputs"]
        roles = sorted(role for role in inputs if role.startswith(ROLE))
        return read_reviews([self.layout.reviews / role.removeprefix(ROLE) / FILE for role in roles], self.classes)

    def metrics(self, address: str) -> dict[str, Any]:
        """metrics.json of a model; empty where it does not stand."""
        return read_facts(self.layout.place(address) / "metrics.json")

    def latest_model(self) -> str | None:
        """Address of the newest model that stands: final, else the last student, else the last teacher."""
        if self.layout.stands(FINAL):
            return FINAL
        standing = [a for a in self.layout.standing() if a.rpartition("/")[2] in ("teacher", "student")]
        return standing[-1] if standing else None


@dataclass(frozen=True)
class Round:
    """One round. found: its part of `inspect --json`; pool: what its teacher says; selection: what was kept of it."""

    number: int
    found: dict[str, Any]
    belief: Belief
    pool: Scores
    selection: Selection
    store: PatchStore
    layout: Layout

    @cached_property
    def rows(self) -> np.ndarray:
        """(P,) rows of the store."""
        return self.store.rows(self.pool.ids)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(P,) int16, the class most believed in."""
        return self.belief.best(self.pool).astype(np.int16)

    @cached_property
    def confidence(self) -> np.ndarray:
        """(P,) float32, calibrated probability of that class."""
        return np.concatenate([part.max(axis=1) for part in self._believed()] or [np.empty(0, np.float32)])

    @cached_property
    def margin(self) -> np.ndarray:
        """(P,) float32, how much more it is believed in than the second."""
        parts = [np.partition(part, -2, axis=1)[:, -2:] for part in self._believed()]
        return np.concatenate([part[:, 1] - part[:, 0] for part in parts] or [np.empty(0, np.float32)])

    @cached_property
    def kept_rows(self) -> np.ndarray:
        """(M,) rows of the pool, one a row of the selection."""
        return np.searchsorted(self.pool.ids, self.selection.ids)

    @cached_property
    def kept(self) -> np.ndarray:
        """(P,) bool."""
        inside = np.zeros(len(self.pool), bool)
        inside[self.kept_rows] = True
        return inside

    @cached_property
    def first_round(self) -> np.ndarray:
        """(P,) int16, since when a patch is kept without a break under its label; -1: it is not kept."""
        first = np.full(len(self.pool), -1, np.int16)
        first[self.kept_rows] = self.selection.first_round
        return first

    def probs(self, rows: np.ndarray) -> np.ndarray:
        """(M, C) float32 of some pool rows."""
        return self.belief.of(Scores(self.pool.ids[rows], self.pool.log_probs[rows]))

    def at(self, ids: np.ndarray) -> "Earlier":
        """What this round said of the pool `ids` (P',) of another."""
        rows = np.minimum(np.searchsorted(self.pool.ids, ids), max(len(self.pool) - 1, 0))
        there = self.pool.ids[rows] == ids if len(self.pool) else np.zeros(len(ids), bool)
        return Earlier(
            self.number,
            np.where(there, self.predicted[rows], -1),
            np.where(there, self.confidence[rows], np.nan),
            there & self.kept[rows],
        )

    def held_out(self, part: str) -> Scores:
        """What the round believes of `validation`, its teacher of `test`."""
        select, predict = (self.layout.place(at(self.number, name)) for name in ("select", "predict"))
        return (
            believed_scores(select, predict, part) if part == "validation" else read_scores(predict / "scores.h5", part)
        )

    def held_out_probs(self, given: GivenLabels, part: str) -> np.ndarray:
        """What `held_out` says of the patches of `given`, as the round reads it: (V, C) float32."""
        scores = self.held_out(part)
        propagated = (self.layout.place(at(self.number, "select")) / BELIEVED).is_file()
        # a temperature and weights that were fitted to propagated labels say nothing of a teacher's own scores
        belief = Belief(1.0) if propagated and part != "validation" else self.belief
        return belief.of(scores)[np.searchsorted(scores.ids, given.ids)]

    def _believed(self) -> Iterator[np.ndarray]:
        # in pieces: a pool of millions has more classes than memory
        for start in range(0, len(self.pool), PIECE):
            yield self.probs(np.arange(start, min(start + PIECE, len(self.pool))))


@dataclass(frozen=True)
class Earlier:
    """A round before, in the order of another's pool. predicted: (P,) -1 where it was no pool; kept: (P,) bool."""

    number: int
    predicted: np.ndarray
    confidence: np.ndarray
    kept: np.ndarray
