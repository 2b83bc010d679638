"""What a round hears before it decides: labels, reviews, and what is said of the pool and of validation."""

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from data.patches.labels import GivenLabels
from data.patches.table import PatchTable
from data.splits.reviewed import Reviewed, honoured, left_out, reviews_in
from data.splits.written import Splits, load_splits
from data.store.patch_store import PatchStore
from stages.job import Job
from stages.measures.judged import groups_of
from stages.scores import Scores, read_scores, write_scores
from stages.select.belief import Belief, Believed, fit_belief
from stages.select.believed_scores import BELIEVED
from stages.select.calibrate import Told, told_of
from stages.select.evidence import Evidence, HeldOut, Probs
from stages.select.graph import Graph
from stages.select.past import Past
from stages.select.refusals import refuse_unusable
from stages.select.rule import Rule

LOG = logging.getLogger("patchchain")
ENOUGH = 50  # validation patches; of fewer, how often they are right is known to no better than 5 points


@dataclass(frozen=True)
class Heard:
    """What is known when a round begins to decide.

    table: of the store; splits: with what people have reviewed, and the pool without it; pool, validation: the
    teacher's scores, or, with `propagate`, what the given labels tell along the graph;
    told: how often labels tell each other right, where validation does not say more.
    """

    table: PatchTable
    splits: Splits
    reviewed: Reviewed
    pool: Scores
    validation: Scores
    graph: Graph | None = None
    told: Told | None = None

    @cached_property
    def labelled(self) -> np.ndarray:
        """Given labels a class: (C,)."""
        return np.bincount(self.splits.labelled.label, minlength=len(self.splits.classes))

    @property
    def deciding(self) -> GivenLabels:
        """The labels of validation that a decision may see."""
        return self.splits.deciding

    @property
    def decided_by(self) -> Scores:
        """What is said of `deciding`; nothing of a fold, which judges this chain and teaches it nothing."""
        return self.validation if self.splits.fold is None else self.validation.without(self.validation.ids)


def hear(job: Job, rule: Rule) -> Heard:
    """Read the inputs; where the rule propagates labels, write what they tell to believed.h5.

    Reviewed patches are no longer pool. Raises ChainError (3, 66, 76, 78).
    """
    drawn = load_splits(job.inputs["splits"])
    scored = read_scores(job.inputs["predict"] / "scores.h5", "pool", mapped=True)
    validation = read_scores(job.inputs["predict"] / "scores.h5", "validation")
    refuse_unusable(job.address, drawn, scored, validation)
    reviewed = reviews_in(job.inputs, drawn.classes)
    if lost := left_out(drawn, reviewed):
        LOG.warning(f"{job.address}: {lost:,} reviewed patches are left out: the splits hold them out by now")
    table = PatchStore(job.inputs["store"] / "patches.h5").table()
    heard = Heard(table, honoured(drawn, reviewed), reviewed, scored.without(reviewed.ids), validation)
    return heard if rule.propagate is None else _propagated(job, rule, heard)


def believed(job: Job, rule: Rule, heard: Heard) -> Belief:
    """How this round reads what it heard."""
    return fit_belief(rule, heard.pool, heard.decided_by, heard.deciding, heard.labelled, job.round, heard.told)


def evidence_of(job: Job, heard: Heard, belief: Belief, past: Past | None) -> Evidence:
    """All that the rule may know. Nothing in it knows a label of the pool."""
    opinions: list[Probs] = [Believed(belief, one) for one in heard.pool.others()]
    return Evidence(
        ids=heard.pool.ids,
        believed=Believed(belief, heard.pool),
        round=job.round,
        seed=job.seed,
        labelled=heard.labelled,
        held_out=HeldOut(belief.of(heard.decided_by), heard.deciding.label, groups_of(heard.table, heard.deciding.ids)),
        deviation=heard.pool.deviation,
        opinions=tuple(opinions if past is None else [past.probs(heard.pool.ids), *opinions]),
        classes=heard.splits.classes,
    )


def _propagated(job: Job, rule: Rule, heard: Heard) -> Heard:
    assert rule.propagate is not None
    groups = groups_of(heard.table, heard.splits.labelled.ids), groups_of(heard.table, heard.pool.ids)
    graph = Graph(job, rule.propagate, heard.splits, heard.pool.ids, groups)
    pool, validation = graph.scores(heard.pool.ids).beside(heard.pool), graph.scores(heard.validation.ids)
    write_scores(job.out / BELIEVED, {"pool": pool.alone(), "validation": validation})
    heard = replace(heard, pool=pool, validation=validation, graph=graph)
    if not rule.calibrate or not len(pool):
        return heard
    enough = len(heard.deciding) >= ENOUGH
    return replace(heard, told=graph.told(told_of(heard.decided_by, heard.deciding) if enough else None))
