"""Keep a growing share of the pool: curriculum labelling (Cascante-Bonilla et al. 2021)."""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.select.choice import Choice
from stages.select.evidence import Evidence
from stages.select.rule import OfBest, surest


class Curriculum(OfBest):
    """Keep the most confident `step` of the pool in the first round, twice that in the second, up to all of it."""

    rule: Literal["curriculum"] = "curriculum"
    step: Annotated[float, Field(gt=0, le=1, description="share of the pool added a round")] = 0.2

    def choose(self, evidence: Evidence) -> Choice:
        """See OfBest. The first round (0) keeps one step."""
        # the small term keeps 0.2 * 3 * 10 at 6: binary fractions land just above
        n = math.ceil(min(1.0, self.step * (evidence.round + 1)) * len(evidence) - 1e-6)
        return Choice(surest(evidence.best[1], evidence.ids, np.ones(len(evidence), bool), n))
