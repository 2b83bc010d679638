"""Ask for a precision, not for a threshold: selective classification with a guaranteed risk (Geifman, El-Yaniv 2017).

Geifman and El-Yaniv, "Selective classification for deep neural networks" (arXiv 1705.08500), with the bound of
Clopper and Pearson; many thresholds are tested as in "Learn then test" (Angelopoulos et al. 2021, arXiv 2110.01052).
"""

import math
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from data.errors import ChainError, ExitCode
from stages.select.bounds import design_effects, fewest, fewest_at, intraclass_correlation, lower_bound
from stages.select.evidence import Evidence, HeldOut
from stages.select.rule import Need, Rule, reaching, top_class
from stages.select.selection import Selection

# errors allowed where a sequence of tests starts -> its share of the allowed risk; the shares sum to 1
STARTS = {0: 1 / 2, 1: 1 / 4, 3: 1 / 8, 7: 1 / 8}


class Risk(Rule):
    """Per class, the lowest threshold above which held-out labels prove the stated precision; else nothing of it.

    *What is promised.* For each class: with probability `confidence` over the draw of the held-out patches, at least
    `precision` of all patches predicted as the class with that threshold or more are truly of it. It is the promise
    of held-out patches that are like the pool; where patients or sites of the pool are unlike those of validation,
    nobody can promise.

    *Many thresholds are tried, and that is paid for.* The held-out patches of a class stand in order of falling
    confidence; test m asks whether the lower Clopper-Pearson bound of the first m reaches the precision. Tests run
    down the list and end at the first failure (fixed-sequence testing): to err, the very first threshold that is
    truly too low must pass its own test, so the level of one test is the level of all. Where a sequence starts is
    given by numbers alone: at the shortest list that could pass with no error, and, because one error at the top
    would end that one, at those that could pass with 1, 3 and 7. The four sequences share the allowed risk
    1 - confidence (1/2, 1/4, 1/8, 1/8), which is Bonferroni's correction for four.

    *Patches of one patient are not independent.* With `by_group`, m patches count as m / design effect (Korn and
    Graubard 1998; Kish), from how alike right and wrong are within a patient, else slide, over all held-out patches.

    Held-out labels also fit the temperature (one number, the same for all) and pass students on; both touch the
    promise far less than the level does, and neither sees the pool.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"held_out"})

    rule: Literal["risk"] = "risk"
    precision: Annotated[float, Field(gt=0, lt=1, description="share of right pseudo-labels asked for, a class")] = 0.95
    confidence: Annotated[
        float, Field(gt=0, lt=1, description="probability that what is asked for is so, over validation's draw")
    ] = 0.95
    by_group: Annotated[
        bool, Field(description="count patches of one patient or slide as less than as many independent ones")
    ] = True

    def select(self, evidence: Evidence) -> Selection:
        """See Rule. Raises ChainError (78), with the number of labels it would take, when no class can be kept."""
        thresholds = self.thresholds(evidence)
        if not np.isfinite(thresholds).any():
            raise self._refusal(evidence)
        return reaching(evidence, thresholds, evidence.round)

    def thresholds(self, evidence: Evidence) -> np.ndarray:
        """See Rule."""
        return np.array([one.threshold for one in self._proofs(evidence)])

    def remarks(self, evidence: Evidence) -> list[str]:
        """See Rule: the classes that keep nothing, and what it would take."""
        return [
            f"class {evidence.name(code)}: no threshold proves a precision of {self.precision:.0%}, nothing of it is "
            f"kept; {self._advice(proof)}"
            for code, proof in enumerate(self._proofs(evidence))
            if math.isnan(proof.threshold)
        ]

    def _proofs(self, evidence: Evidence) -> list["_Proof"]:
        held = evidence.held_out
        classes = evidence.probs.shape[1]
        if not len(held):
            return [_Proof(math.nan, 0, 0, 0.0, None)] * classes
        label, confidence = top_class(held.probs)
        right = label == held.label
        alike = intraclass_correlation(right, held.group, label) if self.by_group else 0.0
        return [self._proof(held, confidence, right, np.flatnonzero(label == code), alike) for code in range(classes)]

    def _proof(
        self, held: HeldOut, confidence: np.ndarray, right: np.ndarray, rows: np.ndarray, alike: float
    ) -> "_Proof":
        # ties by group: any order would do, since only the ends of ties are tested
        rows = rows[np.lexsort((held.group[rows], -confidence[rows]))]
        sure, good = confidence[rows], np.cumsum(right[rows]).astype(np.float64)
        effect = design_effects(held.group[rows], alike)
        size = np.arange(1, len(rows) + 1) / effect
        ends = np.flatnonzero(np.append(sure[1:] != sure[:-1], True)) if len(rows) else np.empty(0, np.int64)
        size, good, effect = size[ends], (good / effect)[ends], effect[ends]
        last = -1
        for errors, share in STARTS.items():
            alpha = (1 - self.confidence) * share
            testable = size >= fewest(errors, alpha, self.precision)
            if not testable.any():
                continue
            start = int(testable.argmax())
            passes = lower_bound(good[start:], size[start:], alpha) >= self.precision
            reached = len(passes) if passes.all() else int(passes.argmin())
            if reached:
                last = max(last, start + reached - 1)
        bound = float(lower_bound(good, size, (1 - self.confidence) * STARTS[0]).max(initial=0.0))
        threshold = float(sure[ends[last]]) if last >= 0 else math.nan
        return _Proof(threshold, len(rows), len(held), bound, self._needed(good, size, effect, len(held)))

    def _needed(self, good: np.ndarray, size: np.ndarray, effect: np.ndarray, held: int) -> int | None:
        """Labelled validation patches, of the same mixture, that would do if what was seen went on; None: none seen."""
        found = []
        for at in np.unique(np.linspace(0, len(size) - 1, 32).astype(int)) if len(size) else ():
            alpha = (1 - self.confidence) * (STARTS[0] if good[at] == size[at] else min(STARTS.values()))
            if (n := fewest_at(float(good[at] / size[at]), alpha, self.precision)) is not None:
                # so many effective ones, each of which stood for so many of validation
                found.append(math.ceil(n * held / float(size[at])))
        return min(found) if found else None

    def _advice(self, proof: "_Proof") -> str:
        least = fewest(0, (1 - self.confidence) * STARTS[0], self.precision)
        if proof.seen == 0:
            return f"no validation patch was seen as it, at least {least} independent ones are needed"
        if proof.needed is None:
            return (
                f"of {proof.seen} validation patches seen as it too many are wrong, even of the surest: "
                "ask for a lower precision"
            )
        return (
            f"{proof.seen} validation patches seen as it prove {proof.bound:.1%}; about {proof.needed:,} labelled "
            "validation patches in all would do"
        )

    def _refusal(self, evidence: Evidence) -> ChainError:
        proofs = self._proofs(evidence)
        best = max(range(len(proofs)), key=lambda code: proofs[code].bound)
        able = [proof.needed for proof in proofs if proof.needed is not None]
        least = fewest(0, (1 - self.confidence) * STARTS[0], self.precision)
        todo = f"label more for splits.validation (about {min(able):,} patches in all would do for one class)"
        if not able:
            todo = f"label more for splits.validation (at least {least} independent patches seen as a class, all right)"
        return ChainError(
            f"select.precision: {self.precision:g} is proven for no class in round {evidence.round}",
            f"the {len(evidence.held_out):,} labelled validation patches prove at most {proofs[best].bound:.1%}, for "
            f"class {evidence.name(best)}, with {self.confidence:.0%} confidence",
            f"{todo}, or lower select.precision or select.confidence, or choose another rule",
            ExitCode.MISMATCH,
        )


class _Proof(NamedTuple):
    """Of one class. seen: held-out patches predicted as it, of `held`; bound: the best lower bound of any list."""

    threshold: float  # NaN: keeps nothing
    seen: int
    held: int
    bound: float
    needed: int | None
