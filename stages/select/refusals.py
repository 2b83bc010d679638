"""What a selection is refused for, before anything is written."""

import numpy as np

from data.errors import ChainError, ExitCode
from data.splits.written import Splits
from stages.blocks import blocks, let_go
from stages.scores import Scores
from stages.select.evidence import Evidence
from stages.select.rule import Rule

EXPONENT = np.uint16(0x7C00)  # of a float16


def refuse_unusable(address: str, splits: Splits, pool: Scores, validation: Scores) -> None:
    """Raise ChainError for scores that are not those of the splits (78) or not finite (3)."""
    for name, scores, ids in (("pool", pool, splits.pool), ("validation", validation, splits.validation.ids)):
        if not np.array_equal(scores.ids, ids) or scores.log_probs.shape != (len(ids), len(splits.classes)):
            raise ChainError(
                f"{address}: the {name} scores are not those of the splits: {len(scores):,} for {len(ids):,} patches",
                "a selection from other patches would train on the wrong labels",
                "make the scores again: rerun RUN --from the predict step of this round",
                ExitCode.MISMATCH,
            )
        refuse_not_finite(address, name, scores)


def refuse_not_finite(address: str, name: str, scores: Scores) -> None:
    """Raise ChainError (3) for scores of a part that are not finite."""
    bad = 0
    for rows in blocks(len(scores)):
        own = scores.log_probs[rows]
        # no float16 with a cleared bit in its exponent is infinite or none: that is seen at once
        if own.dtype != np.float16 or ((own.view(np.uint16) & EXPONENT) == EXPONENT).any():
            bad += int((~np.isfinite(own)).any(axis=1).sum())
        let_go(own)
    if bad:
        raise ChainError(
            f"{address}: the scores of {bad:,} {name} patches are not finite",
            "the teacher of this round has diverged; its labels mean nothing",
            "lower the learning rate and rerun RUN --from the training of this teacher",
            ExitCode.DIVERGED,
        )


def refuse_unmet(address: str, rule: Rule, evidence: Evidence) -> None:
    """Raise ChainError (78) when the rule asks for what this round cannot give."""
    if "held_out" in rule.needs and not len(evidence.held_out):
        raise ChainError(
            f"{address}: select.rule: {rule.rule} needs labelled validation patches",
            "it measures on them what it promises, and the splits have none",
            "give splits.validation a share or a number, or choose another rule",
            ExitCode.MISMATCH,
        )
    if "deviation" in rule.needs and evidence.deviation is None:
        raise ChainError(
            f"{address}: select.rule: {rule.rule} needs the deviations of MC-dropout",
            "the scores of this round were made without them (predict.mc_passes: 0)",
            "set predict.mc_passes: 10 and rerun RUN --from the predict step of this round, or choose another rule",
            ExitCode.MISMATCH,
        )
