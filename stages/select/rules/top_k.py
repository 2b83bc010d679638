"""Keep a fixed number of patches a class: the teacher-student chain of Yalniz et al. 2019 and Shaw et al. 2020."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.blocks import let_go, of_blocks, taken
from stages.select.evidence import Evidence, ranked
from stages.select.rule import Rule, surest
from stages.select.selection import Selection

Candidates = tuple[np.ndarray, np.ndarray]  # of one class: ids and probabilities, (M,) each


class TopK(Rule):
    """Per class, the `k` patches with the highest probability of it, among those with it in their top `p` classes.

    With p > 1 a rare class that never wins still gets patches, and a patch can stand under several classes.
    """

    rule: Literal["top_k"] = "top_k"
    k: Annotated[int, Field(ge=1, description="patches kept a class, in round 0")] = 1000
    k_step: Annotated[
        int, Field(ge=0, description="how much k grows with every round: trust a better teacher more")
    ] = 0
    p: Annotated[int, Field(ge=1, description="a patch is a candidate for its p most probable classes")] = 1

    def select(self, evidence: Evidence) -> Selection:
        """See Rule. With p > 1, holds a class's candidates until they are twice what it keeps."""
        k = self.k + self.k_step * evidence.round
        found = [(evidence.ids[:0], np.empty(0, np.int16), np.empty(0, np.float32))]
        for code, (ids, probs) in enumerate(_of_best(evidence, k) if self.p == 1 else _of_ranks(evidence, self.p, k)):
            found.append((ids, np.full(len(ids), code, np.int16), probs))
        ids, label, probs = (np.concatenate(column) for column in zip(*found, strict=True))
        return Selection.of(ids, label, probs, evidence.round)


def _of_best(evidence: Evidence, k: int) -> Iterator[Candidates]:
    label, confidence = evidence.best
    for code in range(evidence.width):
        rows = np.flatnonzero(surest(confidence, evidence.ids, label == code, k))
        yield taken(evidence.ids, rows), confidence[rows]


def _of_ranks(evidence: Evidence, p: int, k: int) -> Iterator[Candidates]:
    def of_block(rows: slice) -> list[Candidates]:
        ranks = list(islice(ranked(evidence.believed[rows]), p))
        ids = evidence.ids[rows]
        found = []
        for code in range(evidence.width):
            # a patch is a candidate for a class once, at the rank that the class has for it
            at_rank = [(label == code, confidence) for label, confidence in ranks]
            found.append(_most([(ids[own], confidence[own]) for own, confidence in at_rank], k))
        let_go(evidence.ids)
        return found

    none = evidence.ids[:0], np.empty(0, np.float32)
    waiting: list[list[Candidates]] = [[none] for _ in range(evidence.width)]
    for block in of_blocks(len(evidence), of_block):
        for own, more in zip(waiting, block, strict=True):
            own.append(more)
            if sum(len(ids) for ids, _ in own) > 2 * k:
                own[:] = [_most(own, k)]
    return (_most(own, k) for own in waiting)


def _most(pieces: Sequence[Candidates], k: int) -> Candidates:
    ids, probs = (np.concatenate(column) for column in zip(*pieces, strict=True))
    kept = surest(probs, ids, np.ones(len(ids), bool), k)
    return ids[kept], probs[kept]
