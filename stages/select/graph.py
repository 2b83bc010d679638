"""From embeddings and given labels to scores of the pool and of validation, where a rule propagates labels."""

import json
from functools import cached_property

import numpy as np

from data.keys import seed_of
from data.patches.labels import GivenLabels
from data.splits.written import Splits
from stages.blocks import of_blocks
from stages.job import Job
from stages.predict.embedding import OF_TEACHER
from stages.process.progress import StageProgress
from stages.scores import Scores, found_in
from stages.select.believed_scores import BELIEVED
from stages.select.calibrate import Told, matched_temperature
from stages.select.left_out import LeftOut
from stages.select.propagate import BLOCK, Likeness, Propagate, drawn_inside
from stages.select.seen import Names, Seen, of_round
from stages.select.shift import shares_in_pool, unlike

SUBSTANTIAL = 0.6  # Cohen's kappa from which agreement is called substantial (Landis and Koch, Biometrics 1977)


class Graph:
    """The patches of a round as points, given labels among them. Raises ChainError (66, 76, 78).

    In memory stand what the patches of the graph look like, at most `most` of the pool; all others are read and told
    in blocks.
    """

    def __init__(
        self, job: Job, section: Propagate, splits: Splits, pool: np.ndarray, groups: tuple[np.ndarray, np.ndarray]
    ) -> None:
        """groups: the patient or slide of each labelled patch (L,) and of each pool patch (N,)."""
        self._job, self._splits = job, splits
        seed = seed_of(job.seed, "propagate")
        self._ids = drawn_inside(splits.labelled.ids, pool, section.most, seed)
        self._seen = Seen(of_round(job), self._ids, section)
        # of an empty pool nothing lies elsewhere
        near = float(np.isin(groups[1], groups[0]).mean()) if len(groups[1]) else 1.0
        rows = self._rows(splits.labelled.ids)
        self._left_out = LeftOut(splits.labelled, rows, groups[0], near, self._classes, seed, self._along)

    def scores(self, ids: np.ndarray) -> Scores:
        """What given labels tell of the patches `ids`, which are ascending; of validation no label takes part."""
        inside, rows = found_in(self._ids, ids)
        log_probs = np.empty((len(ids), self._classes), np.float16)
        log_probs[inside] = _logarithms(self._by_shares[rows])
        if len(outside := np.flatnonzero(~inside)):
            self._tell_others(ids, outside, log_probs)
        return Scores(ids, log_probs)

    @cached_property
    def _by_shares(self) -> np.ndarray:
        """What all given labels tell of the patches of the graph, in the shares that the pool holds: (N, C)."""
        return self._by_prior if self._weights is None else self._spread(self._weights**self._temperature)

    @cached_property
    def _by_prior(self) -> np.ndarray:
        """The same as if the pool held the classes as the labels do: in the shares that `prior` says."""
        return self._spread(None)

    def _spread(self, weights: np.ndarray | None) -> np.ndarray:
        given = self._splits.labelled
        graph = self._along(self._seen.names)
        return graph.propagated(self._rows(given.ids), _codes(given), self._classes, weights)

    @cached_property
    def shares(self) -> np.ndarray | None:
        """How common each class is in the pool, (C,), where labels say that it is not as among them; else None.

        The first round says so for all: its teacher knows labels alone, later ones what they were taught, and shares
        read from what they tell would confirm themselves, round by round. It compares what one graph tells of both.
        How common classes are is read from how labels are mistaken along that graph and along the encoder alone, as
        `told` reads how often the pool is told right.
        """
        if self._confusion is None or not self._pool_rows.any():  # people may have reviewed all of it
            return None
        before = self._job.inputs.get("previous")
        if before is not None and (before / BELIEVED).is_file():
            kept = json.loads((before / "quality.json").read_bytes())["shares"]
            return None if kept is None else np.array(kept) / sum(kept)
        by_graph = self._left_out.of_pool(self._seen.ways[:1])
        assert by_graph is not None, "its folds are among those of all ways"
        told = np.bincount(self._by_prior[self._pool_rows].argmax(axis=1), minlength=self._classes)
        return shares_in_pool(self._confusion, told) if unlike(by_graph, told) else None

    @cached_property
    def _confusion(self) -> np.ndarray | None:
        """Left-out labels by class (row) and by what others tell them to be (column): (C, C); None: too few of them."""
        return self._left_out.of_pool(self._seen.ways)

    @cached_property
    def _temperature(self) -> float:
        """The temperature at which the graph's word is as sure as it is right, at most 1.

        A word that says too little would be outweighed by shares that say all they know, and rare classes be lost.
        """
        assert self._confusion is not None
        ids, said = self._ids[self._pool_rows], self._by_prior[self._pool_rows]
        return min(1.0, matched_temperature(Scores(ids, _logarithms(said)), Told.of(self._confusion).accuracy))

    @cached_property
    def _pool_rows(self) -> np.ndarray:
        """Rows of the graph that are of the pool: (N,) bool."""
        rows = np.ones(len(self._ids), bool)
        rows[self._rows(self._splits.labelled.ids)] = False
        return rows

    @cached_property
    def _weights(self) -> np.ndarray | None:
        """How many times as common as among the labels each class is in the pool: (C,); None: as among them.

        Beside `prior`, not in its place: what serves where labels are drawn from the pool is changed by this much.
        """
        if self.shares is None:
            return None
        among = self._left_out.among
        weights: np.ndarray = np.divide(self.shares, among, out=np.zeros_like(among), where=among > 0)
        return weights

    def _tell_others(self, ids: np.ndarray, outside: np.ndarray, log_probs: np.ndarray) -> None:
        """Write the rows `outside` of `log_probs`: what patches beyond the graph are told by those that are in it."""
        likeness, said, beside = self._along(self._seen.names), self._by_shares, self.trust

        def tell(block: slice) -> int:
            rows = outside[block]
            log_probs[rows] = _logarithms(likeness.outside(self._seen.points(ids[rows], beside), said))
            return len(rows)

        with StageProgress(self._job.address, len(outside), "patches", self._job.work) as bar:
            for count in of_blocks(len(outside), tell, BLOCK):
                bar.advance(count)

    @cached_property
    def kappa(self) -> float | None:
        """How far given labels tell each other along what knows none of them, beyond chance: Cohen's kappa.

        None: there is no such network, or too few labels to tell.
        """
        if not self._seen.unlearnt:
            return None
        found = self._left_out.of_pool([self._seen.unlearnt])
        if found is None:
            return None
        told = Told.of(found)
        chance = float(told.said @ self._left_out.among) / told.labels
        return (told.accuracy - chance) / (1 - chance) if chance < 1 else None

    @cached_property
    def trust(self) -> float:
        """How much a network that knows no label counts beside the teacher: 1, or less where its kappa is no better.

        What ImageNet taught tells tissues apart, and little of nodules in lung: there it would join unlike patches.
        """
        return 1.0 if self.kappa is None else min(1.0, max(0.0, self.kappa / SUBSTANTIAL))

    def plain(self) -> dict[str, float] | None:
        """For quality.json: what counts how much beside the teacher, and why; None where nothing stands beside it."""
        if OF_TEACHER not in self._seen.names or self.kappa is None:
            return None
        return {"kappa": round(self.kappa, 4), "weight": round(self.trust, 4)}

    @property
    def few(self) -> tuple[int, float] | None:
        """See LeftOut."""
        return self._left_out.few

    def told(self, held_out: Told | None = None) -> Told | None:
        """How often the pool is told right, as far as labels can say; None: too few of them.

        A label is told by other folds of labels (`LeftOut`), and counts as its class is common in the pool.
        Along the teacher's embeddings labels are told right too often, since it has learnt them all; along those of
        the frozen encoder alone, which knows no label, too seldom, since the teacher's are better. The truth lies
        between, and so does what is returned: the middle. Without an encoder it is the first figure, which flatters.

        held_out: what validation was told, whose groups are neither labelled nor pool. How often all is right it says
        better than whole folds for that rest, and counts beside the divided ones, unless these labels are told right
        clearly more often: then it lies further from them than the pool. How classes differ only the given labels
        say: what a rare class is taken for changes from patient to patient.
        """
        found = self._left_out.of_pool(self._seen.ways, self._weights)
        own = None if found is None else Told.of(found)
        if own is None or held_out is None:
            return own
        near, part = self._left_out.near, 0.0  # part: of the accuracy that given labels say
        divided = self._left_out.told(self._seen.ways, whole=False, weights=self._weights)
        given = held_out if divided is None else Told.of(divided)
        if divided is not None:
            further = given.clearly_above(held_out)
            if further and near == 1:
                return own
            part = near if further else near * given.labels / (given.labels + held_out.labels)
        return own.at(
            part * given.accuracy + (1 - part) * held_out.accuracy,
            round(held_out.labels),
            1 / (part**2 / given.labels + (1 - part) ** 2 / held_out.labels),
        )

    def _along(self, names: Names) -> Likeness:
        # how far to trust what knows no label is read along that alone, so its own graph must not ask
        return self._seen.along(names, self.trust if OF_TEACHER in names else 1.0)

    @property
    def _classes(self) -> int:
        return len(self._splits.classes)

    def _rows(self, ids: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._ids, ids)


def _logarithms(shares: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.log(shares.astype(np.float32)).astype(np.float16)
    return found


def _codes(given: GivenLabels) -> np.ndarray:
    return given.label.astype(np.int64)
