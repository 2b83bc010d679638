"""Confidence is not certainty: keep what is both, UPS (Rizve et al. 2021, arXiv 2101.06329)."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from stages.blocks import blocks, counts, let_go
from stages.select.choice import Choice
from stages.select.evidence import Evidence
from stages.select.negatives import Negatives
from stages.select.rule import Need, OfBest, surest


class Uncertainty(OfBest):
    """Keep a patch if its highest probability is at least 0.70 and deviates by less than 0.05 over MC-dropout passes.

    In the first rounds every class is cut to its least deviating patches, as many as the smallest class has but at
    least 25, so that no class floods the others. Deviations are those of the raw probability over
    `predict.mc_passes` passes with dropout (10 in the paper), the probability is the calibrated one without dropout,
    which is what students learn (the paper thresholds the mean over the passes). With `negative`, a patch also
    teaches which classes it is *not*: those of probability below 0.05 that deviate by less than 0.005, never the
    likeliest one.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"deviation"})

    rule: Literal["uncertainty"] = "uncertainty"
    min_confidence: Annotated[float, Field(ge=0, le=1, description="tau_p of the paper")] = 0.70
    max_deviation: Annotated[float, Field(gt=0, description="kappa_p of the paper; deviations lie below it")] = 0.05
    balance_rounds: Annotated[int, Field(ge=0, description="in how many first rounds classes are cut alike")] = 6
    balance_floor: Annotated[int, Field(ge=1, description="patches a class may always have")] = 25
    negative: Annotated[bool, Field(description="also teach which classes a patch is not")] = False
    negative_confidence: Annotated[float, Field(ge=0, le=1, description="tau_n of the paper")] = 0.05
    negative_deviation: Annotated[float, Field(gt=0, description="kappa_n of the paper")] = 0.005

    def choose(self, evidence: Evidence) -> Choice:
        """See OfBest."""
        assert evidence.deviation is not None, "the stage refuses a rule whose needs are not met"
        label, confidence = evidence.best
        steady = np.empty(len(label), np.float32)  # the less a patch deviates, the more
        for rows in blocks(len(label)):
            own = label[rows, None].astype(np.int64)
            steady[rows] = -np.take_along_axis(evidence.deviation[rows], own, axis=1)[:, 0]
            let_go(evidence.deviation)
        sure = (confidence >= np.float32(self.min_confidence)) & (steady > -np.float32(self.max_deviation))
        if evidence.round >= self.balance_rounds or not sure.any():
            return Choice(sure)
        most = max(self.balance_floor, int(counts(label, evidence.width, sure).min()))
        kept = np.zeros(len(label), bool)
        for code in range(evidence.width):
            kept |= surest(steady, evidence.ids, sure & (label == code), most)
        return Choice(kept)

    def negatives(self, evidence: Evidence) -> Iterator[Negatives] | None:
        """See Rule."""
        return self._negatives(evidence) if self.negative else None

    def _negatives(self, evidence: Evidence) -> Iterator[Negatives]:
        assert evidence.deviation is not None, "the stage refuses a rule whose needs are not met"
        yield Negatives.of(evidence.ids[:0], np.empty(0, np.int16))  # there may be none to tell
        label = evidence.best[0]
        for rows in blocks(len(evidence)):
            unlikely = evidence.believed[rows] < np.float32(self.negative_confidence)
            # of many classes, or by a high tau_n, even the likeliest one may be unlikely
            np.put_along_axis(unlikely, label[rows, None].astype(np.int64), False, axis=1)
            row, code = np.nonzero(unlikely & (evidence.deviation[rows] < np.float32(self.negative_deviation)))
            yield Negatives.of(evidence.ids[rows][row], code)
            let_go(evidence.deviation)
