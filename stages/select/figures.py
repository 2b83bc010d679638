"""What a round believes, in figures: the content of quality.json. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.measures.quality import (
    churn,
    expected_calibration_error,
    kept_churn,
    plain,
    precision_recall,
    ratio,
    top5_share,
)
from stages.select.wording import percent

SHARE_ALARM = 3.0
CHURN_ALARM = 0.5


@dataclass(frozen=True)
class Kept:
    """Kept rows of a round, in terms of pool rows. row (any integers), label, confidence: (M,), by (row, label)."""

    row: np.ndarray
    label: np.ndarray
    confidence: np.ndarray

    def keys(self, classes: int) -> np.ndarray:
        """One whole number for each (row, label): (M,) int64, ascending."""
        keys: np.ndarray = self.row.astype(np.int64) * classes + self.label
        return keys


@dataclass(frozen=True)
class Beliefs:
    """Everything quality.json is computed from. P pool patches, V validation patches.

    predicted, before: (P,) most probable class now and in the round before (None: no such round);
    places: (P,) slide or patient codes, -1 unknown; truth: (P,) audited class, -1 unknown;
    validation_*: (V,) calibrated confidence, predicted class, given class; labels: (C,) labelled patches.
    """

    classes: Sequence[str]
    predicted: np.ndarray
    before: np.ndarray | None
    kept: Kept
    kept_before: Kept | None
    places: np.ndarray
    truth: np.ndarray
    validation_confidence: np.ndarray
    validation_predicted: np.ndarray
    validation_label: np.ndarray
    labels: np.ndarray


def figures(beliefs: Beliefs, code: int | None = None) -> dict[str, Any]:
    """The figures of one class, or of all (`None`).

    `kept` counts patches, `pseudo_labels` rows (a patch may stand under several labels); `coverage` is the share
    of the patches predicted as the class that are kept, as whatever. `calibration_error` is measured on the
    validation patches predicted as the class. `churn` of a class is the share of the patches predicted as it now
    that were predicted as another before. Not defined: None.
    """
    kept, labels, c = beliefs.kept, beliefs.labels, len(beliefs.classes)
    rows = np.ones(len(kept.row), bool) if code is None else kept.label == code
    pool = np.ones(len(beliefs.predicted), bool) if code is None else beliefs.predicted == code
    held = np.ones(len(beliefs.validation_label), bool) if code is None else beliefs.validation_predicted == code
    inside = np.zeros(len(beliefs.predicted), bool)
    inside[kept.row[rows]] = True
    any_label = np.zeros(len(beliefs.predicted), bool)
    any_label[kept.row] = True
    confidence = kept.confidence[rows].astype(np.float64)
    n = int(inside.sum())
    return {
        "predicted": int(pool.sum()),
        "kept": n,
        "pseudo_labels": int(rows.sum()),
        "coverage": plain(ratio((any_label & pool).sum(), pool.sum())),
        "confidence_mean": plain(ratio(confidence.sum(), len(confidence))),
        "confidence_p10": plain(float(np.quantile(confidence, 0.1)) if len(confidence) else math.nan),
        "calibration_error": plain(
            expected_calibration_error(
                beliefs.validation_confidence[held],
                beliefs.validation_predicted[held] == beliefs.validation_label[held],
            )
        ),
        "share_kept": plain(ratio(rows.sum(), len(rows))),
        "share_labels": plain(ratio(labels.sum() if code is None else labels[code], labels.sum())),
        "churn": None if beliefs.before is None else plain(churn(beliefs.before[pool], beliefs.predicted[pool])),
        "kept_churn": None
        if beliefs.kept_before is None
        else plain(kept_churn(_keys(beliefs.kept_before, c, code), _keys(kept, c, code))),
        "top5_share": plain(top5_share(beliefs.places, inside)),
        "audit": _audit(beliefs, rows, code),
    }


def _keys(kept: Kept, classes: int, code: int | None) -> np.ndarray:
    keys = kept.keys(classes)
    return keys if code is None else keys[kept.label == code]


def _audit(beliefs: Beliefs, rows: np.ndarray, code: int | None) -> dict[str, Any] | None:
    truth = beliefs.truth
    if not (truth >= 0).any():
        return None
    known = rows & (truth[beliefs.kept.row] >= 0)
    right = beliefs.kept.label[known] == truth[beliefs.kept.row[known]]
    audited = int((truth >= 0).sum()) if code is None else int((truth == code).sum())
    precision, recall = precision_recall(right, audited)
    # of the pseudo-labels themselves, where `calibration_error` above is of validation
    error = expected_calibration_error(beliefs.kept.confidence[known], right)
    return {"precision": plain(precision), "recall": plain(recall), "n": int(known.sum()), "ece": plain(error)}


def alarms(beliefs: Beliefs, shares: np.ndarray | None = None) -> list[str]:
    """What a person should look at before believing this round, in words.

    shares: of the classes in the pool (C,), where they are not those of the labels.
    """
    found = []
    of = "of the labels" if shares is None else "of the pool as it is taken"
    for code, name in enumerate(beliefs.classes):
        kept = ratio((beliefs.kept.label == code).sum(), len(beliefs.kept.label))
        given = ratio(beliefs.labels[code], beliefs.labels.sum()) if shares is None else float(shares[code])
        if kept > SHARE_ALARM * given or kept * SHARE_ALARM < given:
            found.append(f"class {name}: {percent(kept)} of the kept patches, {percent(given)} {of}")
    if beliefs.before is not None:
        changed = churn(beliefs.before, beliefs.predicted)
        if changed > CHURN_ALARM:
            found.append(f"the predicted class of {percent(changed)} of the pool changed since the round before")
    return found
