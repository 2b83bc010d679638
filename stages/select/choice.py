"""What a rule that keeps patches under their most probable class has decided, and the selection it makes, in pieces."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from stages.blocks import blocks, let_go
from stages.select.evidence import Evidence
from stages.select.selection import Selection

# ids, label, confidence of kept patches, (M,) each -> (M,)
OfKept = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Choice:
    """kept: (P,) bool; weight, copies: of kept patches, each a function of that patch alone; None: 1."""

    kept: np.ndarray
    weight: OfKept | None = None
    copies: OfKept | None = None


def pieces_of(evidence: Evidence, choice: Choice) -> Iterator[Selection]:
    """The selection, a piece a block of the pool: the whole of it never stands in memory."""
    best, confidence = evidence.best
    for rows in blocks(len(evidence)):
        kept = choice.kept[rows]
        own = (evidence.ids[rows][kept], best[rows][kept], confidence[rows][kept])
        yield Selection.of(
            *own,
            evidence.round,
            weight=1.0 if choice.weight is None else choice.weight(*own),
            copies=1 if choice.copies is None else choice.copies(*own),
        )
        let_go(evidence.ids)
    if not len(evidence):
        yield Selection.of(evidence.ids, best, confidence, evidence.round)
