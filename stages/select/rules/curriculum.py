"""Keep a growing share of the pool: curriculum labelling (Cascante-Bonilla et al. 2021)."""

import math
from typing import Annotated, Literal

from pydantic import Field

from stages.select.evidence import Evidence
from stages.select.rule import Rule, best_first, top_class
from stages.select.selection import Selection


class Curriculum(Rule):
    """Keep the most confident `step` of the pool in the first round, twice that in the second, up to all of it."""

    rule: Literal["curriculum"] = "curriculum"
    step: Annotated[float, Field(gt=0, le=1, description="share of the pool added a round")] = 0.2

    def select(self, evidence: Evidence) -> Selection:
        """See Rule. The first round (0) keeps one step."""
        label, confidence = top_class(evidence.probs)
        # the small term keeps 0.2 * 3 * 10 at 6: binary fractions land just above
        n = math.ceil(min(1.0, self.step * (evidence.round + 1)) * len(evidence) - 1e-6)
        best = best_first(confidence, evidence.ids)[:n]
        return Selection.of(evidence.ids[best], label[best], confidence[best], evidence.round)
