"""Add in favour of the rare: class-rebalancing self-training, CReST+ (Wei et al. 2021, arXiv 2102.09559)."""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.select.choice import Choice
from stages.select.evidence import Evidence
from stages.select.rule import OfBest, surest


class Rebalance(OfBest):
    """Of the patches predicted as class c, keep the most confident share mu_c ** (1 / alpha), all of the rarest.

    With classes ordered by their number of given labels, N_1 >= ... >= N_C, the l-th has mu_l = N_(C+1-l) / N_1:
    the commonest is kept at the rate of how rare the rarest is, because what is predicted rare is precise and what
    is predicted common is not. Classes with equal numbers get the mean of their rates (the paper leaves it open).
    Equal numbers of labels everywhere mean rate 1 everywhere: then `min_confidence` alone decides.

    Belief is aligned to the labelled shares with an exponent that falls from `align_exponent` by rounds to
    `align_exponent_end`, and with it the strength of what is common (progressive alignment, 1 to 0.5 in the paper).
    """

    rule: Literal["rebalance"] = "rebalance"
    alpha: Annotated[float, Field(gt=0, description="higher: less difference between classes")] = 3.0
    min_confidence: Annotated[float, Field(ge=0, le=1, description="patches below it are never kept")] = 0.0
    align: Literal["none", "uniform", "labelled"] = Field(
        "labelled", description="target of the alignment; none: CReST, labelled: CReST+"
    )
    align_exponent_end: Annotated[float, Field(ge=0, le=1, description="the exponent falls to it by rounds")] = 0.5
    align_rounds: Annotated[
        int, Field(ge=1, description="rounds after the first until it is there; the last round of a chain of 3 is 2")
    ] = 2

    def exponent(self, round: int) -> float:
        """See Rule."""
        done = min(round / self.align_rounds, 1.0)
        return round_off((1 - done) * self.align_exponent + done * self.align_exponent_end)

    def choose(self, evidence: Evidence) -> Choice:
        """See OfBest."""
        label, confidence = evidence.best
        rates = sampling_rates(evidence.labelled, self.alpha)
        kept = np.zeros(len(evidence), bool)
        for code, rate in enumerate(rates):
            own = (label == code) & (confidence >= np.float32(self.min_confidence))
            n = math.ceil(rate * int(np.count_nonzero(own)) - 1e-9)  # never none of a class, whatever the last digit
            kept |= surest(confidence, evidence.ids, own, n)
        return Choice(kept)


def sampling_rates(labelled: np.ndarray, alpha: float) -> np.ndarray:
    """mu_c ** (1 / alpha) in (0, 1] from given labels a class, (C,) -> (C,) float64. A class without counts as one."""
    count = np.maximum(labelled, 1).astype(np.float64)
    falling = np.sort(count)[::-1]
    rate = (falling[::-1] / falling[0]) ** (1 / alpha)  # of the l-th commonest class
    result: np.ndarray = np.array([rate[falling == own].mean() for own in count])
    return result


def round_off(value: float) -> float:
    """Nine digits: what is written into quality.json."""
    return float(f"{value:.9g}")
