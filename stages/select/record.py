"""quality.json: everything a round believed, in one document. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from stages.measures.quality import expected_calibration_error, nll, plain, ratio
from stages.scores import Scores
from stages.select.belief import Belief
from stages.select.calibrate import HIGHEST, LOWEST, Told, log_softmax
from stages.select.evidence import Evidence
from stages.select.figures import Beliefs, alarms, figures
from stages.select.guards import guard_alarms, guards
from stages.select.negatives import Negatives
from stages.select.rule import Rule
from stages.select.wording import limit_said, not_as_labelled


def record(
    rule: Rule,
    evidence: Evidence,
    belief: Belief,
    beliefs: Beliefs,
    validation: Scores,
    negatives: Iterable[Negatives] | None,
    guards_before: dict[str, Any] | None,
    unit: str | None,
    told: Told | None,
    shares: np.ndarray | None,
    doubts: Sequence[str],
) -> dict[str, Any]:
    """The content of quality.json. negatives: in pieces by rising id; guards_before: those of the round before;
    unit: what places are, slide or patient; told: how often given labels tell each other right, None: validation says
    more; shares: of the classes in the pool (C,), where they are not those of the labels; doubts: what else a person
    should know before believing it.

    The hidden truth in `beliefs` enters nothing but what is called audit.
    """
    now = guards(beliefs)
    found = alarms(beliefs, shares) + guard_alarms(now, guards_before, unit) + rule.remarks(evidence)
    if belief.temperature in (LOWEST, HIGHEST):
        found.append(limit_said(belief.temperature, belief.temperature == LOWEST, told is None))
    if shares is not None:
        among = beliefs.labels / beliefs.labels.sum()
        found.append(not_as_labelled(beliefs.classes, shares.tolist(), among.tolist()))
    found += doubts
    thresholds = rule.thresholds(evidence)
    return {
        "round": evidence.round,
        "rule": rule.rule,
        "classes": list(beliefs.classes),
        **belief.plain(),
        "told": None if told is None else told.plain(),
        "shares": None if shares is None else [round(float(share), 4) for share in shares],
        "calibration": calibration(validation, beliefs.validation_label, belief.temperatures(validation)),
        "pool": len(evidence),
        "unit": unit,
        "total": figures(beliefs),
        "per_class": [
            {"class": name, **figures(beliefs, code)}
            | ({} if thresholds is None else {"threshold": plain(float(thresholds[code]))})
            for code, name in enumerate(beliefs.classes)
        ],
        "negatives": None if negatives is None else _of_negatives(negatives, beliefs.truth, evidence.ids),
        "guards": now,
        "alarms": found,
    }


def calibration(
    validation: Scores, given: np.ndarray, temperature: float | np.ndarray
) -> dict[str, float | int | None] | None:
    """What the temperature, one or (V,), did on validation, whose labels are `given` (V,); None without any."""
    if not len(given):
        return None
    right = validation.log_probs.argmax(axis=1) == given
    result: dict[str, float | int | None] = {"n": len(given)}
    for when, t in (("before", 1.0), ("after", temperature)):
        log_probs = log_softmax(validation.log_probs, t)
        result[f"nll_{when}"] = plain(nll(log_probs, given))
        result[f"ece_{when}"] = plain(expected_calibration_error(np.exp(log_probs.max(axis=1)), right))
    return result


def _of_negatives(negatives: Iterable[Negatives], truth: np.ndarray, ids: np.ndarray) -> dict[str, Any]:
    labels = patches = n = right = 0
    last = None
    for piece in negatives:
        of = truth[np.searchsorted(ids, piece.ids)]
        labels, n = labels + len(piece), n + int((of >= 0).sum())
        right += int(((of >= 0) & (of != piece.label)).sum())
        named = np.unique(piece.ids)
        # a patch may stand at the end of one piece and at the beginning of the next
        patches += len(named) - int(len(named) > 0 and named[0] == last)
        last = named[-1] if len(named) else last
    audit = {"precision": plain(ratio(right, n)), "n": n} if n else None
    return {"labels": labels, "patches": patches, "audit": audit}
