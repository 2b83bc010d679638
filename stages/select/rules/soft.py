"""Keep every patch, with a weight that falls as it is less sure: SoftMatch (Chen et al. 2023, arXiv 2301.10921)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from stages.blocks import added
from stages.select.choice import Choice
from stages.select.evidence import Evidence
from stages.select.rule import OfBest


class Soft(OfBest):
    """Weight exp(-min(p - mu, 0)^2 / (2 var / n_sigma^2)) of a patch whose highest probability is p.

    mu and var are mean and (unbiased) variance of p over the pool, where SoftMatch follows them over its batches.
    A patch at least as sure as the mean weighs 1; where all are equally sure, all weigh 1. The paper goes with
    `align: uniform`, which is left to be set: few pools have equal shares.
    """

    rule: Literal["soft"] = "soft"
    n_sigma: Annotated[float, Field(gt=0, description="2: weight 0.14 one deviation below the mean; more: steeper")] = (
        2.0
    )

    def choose(self, evidence: Evidence) -> Choice:
        """See OfBest. Mean and variance take 4 bytes a patch."""
        # summed in order of size, so that the order of the rows cannot show in the last digit
        p = np.sort(evidence.best[1])
        mean = added(len(p), lambda rows: p[rows].astype(np.float64)) / max(len(p), 1)
        var = added(len(p), lambda rows: (p[rows].astype(np.float64) - mean) ** 2) / max(len(p) - 1, 1)

        def weight(ids: np.ndarray, label: np.ndarray, confidence: np.ndarray) -> np.ndarray:
            below = np.minimum(confidence.astype(np.float64) - mean, 0)
            return np.exp(-(below**2) * self.n_sigma**2 / (2 * var)) if var > 0 else np.ones(len(ids))

        return Choice(np.ones(len(evidence), bool), weight=weight)
