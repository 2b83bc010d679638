"""Ask for a precision, not for a threshold: selective classification with a guaranteed risk (Geifman, El-Yaniv 2017).

Geifman and El-Yaniv, "Selective classification for deep neural networks" (arXiv 1705.08500), with the bound of
Clopper and Pearson; many thresholds are tested as in "Learn then test" (Angelopoulos et al. 2021, arXiv 2110.01052).
"""

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from data.errors import ChainError, ExitCode
from stages.select.bounds import intraclass_correlation
from stages.select.choice import Choice
from stages.select.evidence import Evidence, top_class
from stages.select.proof import Listed, best_bound, labels_needed, least_labels, listed, lowest_proven
from stages.select.rule import Need, OfBest, reaching


class Risk(OfBest):
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
    promise far less than the level does, and neither sees the pool. With `propagate` patches of the pool stand in the
    graph and those of validation do not, and given labels have a part in temperatures, one a class: the two are told
    a little otherwise, which the promise does not cover.
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

    def choose(self, evidence: Evidence) -> Choice:
        """See OfBest. Raises ChainError (78), with the number of labels it would take, when no class can be kept."""
        thresholds = self.thresholds(evidence)
        if not np.isfinite(thresholds).any():
            raise self._refusal(evidence)
        return reaching(evidence, thresholds)

    def thresholds(self, evidence: Evidence) -> np.ndarray:
        """See Rule."""
        return np.array([lowest_proven(one, self.precision, 1 - self.confidence) for one in self._lists(evidence)])

    def remarks(self, evidence: Evidence) -> list[str]:
        """See Rule: the classes that keep nothing, and what it would take."""
        return [
            f"class {evidence.name(code)}: no threshold proves a precision of {self.precision:.0%}, nothing of it is "
            f"kept; {self._advice(evidence, code, one)}"
            for code, one in enumerate(self._lists(evidence))
            if math.isnan(lowest_proven(one, self.precision, 1 - self.confidence))
        ]

    def _lists(self, evidence: Evidence) -> list[Listed]:
        held, classes = evidence.held_out, evidence.width
        if not len(held):
            none = np.empty(0)
            return [Listed(none, none, none, none, 0)] * classes
        label, confidence = top_class(held.probs)
        right = label == held.label
        alike = intraclass_correlation(right, held.group, label) if self.by_group else 0.0
        rows = (label == code for code in range(classes))
        return [listed(confidence[of], right[of], held.group[of], alike) for of in rows]

    def _needed(self, evidence: Evidence, code: int, one: Listed) -> int | None:
        label, confidence = evidence.best
        return labels_needed(one, confidence[label == code], len(label), self.precision, 1 - self.confidence)

    def _advice(self, evidence: Evidence, code: int, one: Listed) -> str:
        needed = self._needed(evidence, code, one)
        if needed is None:
            return (
                f"even its surest patches are not right often enough ({one.seen:,} validation patches were seen as "
                "it): ask for a lower precision"
            )
        bound = best_bound(one, 1 - self.confidence)
        return (
            f"the {one.seen:,} validation patches seen as it prove {self._reached(bound)}; if its confidence is right, "
            f"about {needed:,} labelled validation patches in all would do"
        )

    def _reached(self, bound: float) -> str:
        # tests go from the surest patches on and end where one fails: what lies below may look better by luck
        beyond = ", though not of the surest ones, which are tested first" if bound >= self.precision else ""
        return f"{bound:.1%}{beyond}"

    def _refusal(self, evidence: Evidence) -> ChainError:
        lists = self._lists(evidence)
        bounds = [best_bound(one, 1 - self.confidence) for one in lists]
        best = int(np.argmax(bounds))
        able = [n for code, one in enumerate(lists) if (n := self._needed(evidence, code, one)) is not None]
        least = least_labels(self.precision, 1 - self.confidence)
        labels = f"about {min(able):,} in all would do for one class, if confidence is right" if able else ""
        labels = labels or f"at least {least} independent ones seen as one class, all right, and a better teacher"
        return ChainError(
            f"select.precision: {self.precision:g} is proven for no class in round {evidence.round}",
            f"the {len(evidence.held_out):,} labelled validation patches prove at most {self._reached(bounds[best])}, "
            f"for class {evidence.name(best)}, with {self.confidence:.0%} confidence",
            f"label more patches for splits.validation ({labels}), lower select.precision or select.confidence, "
            "or choose another rule",
            ExitCode.MISMATCH,
        )
