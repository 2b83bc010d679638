"""The rows a chain has to beat: a linear probe on frozen features, scikit-learn's self-training on the same, colours.

All see exactly the patches, labels and pool of the chain they stand beside. The probe needs no validation, so it
trains on those labels as well: every row of a table spends the same number of labels.
"""

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_efficiency.cells import Cell, Counted
from benchmarks.label_efficiency.intervals import Predictions, judged
from benchmarks.label_efficiency.listing import Listing
from data.keys import generator
from data.splits.written import load_audit, load_splits

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C of the logistic regression
FOLDS = 3
TRIED_ON = 2000  # labels that choose C
THRESHOLD = 0.75  # scikit-learn's own default
PROBE = {"strengths": list(STRENGTHS), "threshold": THRESHOLD, "class_weight": "balanced"}  # what a row was made by


@dataclass(frozen=True)
class Task:
    """One probe. labelled, pool: rows of the listing; label: (L,) codes; judged: column -> rows and codes."""

    labelled: np.ndarray
    label: np.ndarray
    pool: np.ndarray
    judged: dict[str, tuple[np.ndarray, np.ndarray]]
    classes: tuple[str, ...]


def task_of(splits_dir: Path, listing: Listing) -> Task:
    """What a chain with these splits was given: labels of training and validation together, pool and truth."""
    splits, audit = load_splits(splits_dir), load_audit(splits_dir)
    ids = np.concatenate([splits.labelled.ids, splits.validation.ids])
    label = np.concatenate([splits.labelled.label, splits.validation.label]).astype(np.int64)
    columns = {"pool": (audit.ids, audit.label), "unseen": (splits.test.ids, splits.test.label)}
    return Task(
        listing.rows(ids), label, listing.rows(splits.pool),
        {name: (listing.rows(of), codes.astype(np.int64)) for name, (of, codes) in columns.items()},
        splits.classes,
    )  # fmt: skip


def probe_cell(
    cell: Cell, splits_dir: Path | None, listing: Listing, features: np.ndarray, method: str
) -> tuple[dict[str, Any], Counted]:
    """A probe, or self-training from the same probe, or a forest (`all_colours`), judged on both columns.

    With all labels (`all_probe`) also on patches held out at random: how far a random hold-out would flatter.
    """
    if (done := cell.done()) is not None:
        return done
    assert splits_dir is not None, "only a cell that is done needs none"
    begun = time.monotonic()
    task = task_of(splits_dir, listing)
    seen = np.concatenate([task.labelled, task.pool])  # what may be looked at without labels
    scaled = scaled_by(features, seen)
    strength = (
        0.0
        if method == "all_colours"
        else chosen_strength(scaled[task.labelled], task.label, listing.group[task.labelled])
    )
    model = regression(strength)
    if method == "all_colours":
        model = _forest()
        model.fit(scaled[task.labelled], task.label)
    elif method == "self_training":
        from sklearn.semi_supervised import SelfTrainingClassifier

        model = SelfTrainingClassifier(model, threshold=THRESHOLD, max_iter=10)
        unknown = np.full(len(task.pool), -1)
        model.fit(scaled[seen], np.concatenate([task.label, unknown]))
    else:
        model.fit(scaled[task.labelled], task.label)
    assert list(model.classes_) == list(range(len(task.classes))), "a label of every class"
    row: dict[str, Any] = {"round": None, "seconds": round(time.monotonic() - begun, 1)}
    counted: Counted = {}
    for column, (rows, label) in task.judged.items():
        if len(rows):
            said = Predictions(listing.ids[rows], _log(model.predict_proba(scaled[rows])), label, listing.group[rows])
            row[column], counted[f"None/{column}"] = judged(said, column)
    result = {
        "labels": {"training": len(task.labelled), "validation": 0, "pool": len(task.pool)},
        "rows": [row],
        "C": strength,
    }
    if method == "all_probe":
        row["random"], _ = judged(_at_random(task, listing, scaled, strength), "random")
    cell.keep(result, counted)
    return result, counted


def scaled_by(features: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(N, D) float64: mean 0 and deviation 1 over the rows `seen`, of what a probe may look at without labels."""
    mean, spread = features[seen].mean(axis=0), features[seen].std(axis=0)
    found: np.ndarray = ((features - mean) / np.where(spread > 0, spread, 1)).astype(np.float64)
    return found


def chosen_strength(features: np.ndarray, label: np.ndarray, group: np.ndarray) -> float:
    """C by cross-validation over the labels alone, groups kept whole where every class has enough; 0.01 below that.

    features: (L, D), label, group: (L,).
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_score

    if np.bincount(label).min() < FOLDS:
        return 0.01
    rows = np.sort(generator("strength").permutation(len(label))[:TRIED_ON])
    if np.bincount(label[rows], minlength=int(label.max()) + 1).min() < FOLDS:
        rows = np.arange(len(label))
    features, label, group = features[rows], label[rows], group[rows]
    whole = min(len(np.unique(group[label == code])) for code in np.unique(label)) >= FOLDS
    kind = StratifiedGroupKFold if whole else StratifiedKFold
    folds = kind(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fold of whole groups may lack a class, a weak penalty may not converge
        found = [
            cross_val_score(regression(c), features, label, groups=group, cv=folds, scoring="balanced_accuracy")
            for c in STRENGTHS
        ]
    return float(STRENGTHS[int(np.argmax(np.nanmean(found, axis=1)))])


def _at_random(task: Task, listing: Listing, scaled: np.ndarray, strength: float) -> Predictions:
    """The same probe with as many patches held out as the test split has, but drawn one by one."""
    test, truth = task.judged["unseen"]
    rows, label = np.concatenate([task.labelled, test]), np.concatenate([task.label, truth])
    order = generator("random hold-out").permutation(len(rows))
    out, kept = order[: len(test)], order[len(test) :]
    model = regression(strength).fit(scaled[rows[kept]], label[kept])
    said = np.full((len(out), len(task.classes)), 0.0)
    said[:, model.classes_] = model.predict_proba(scaled[rows[out]])
    ids = listing.ids[rows[out]]
    return Predictions(ids, _log(said), label[out], np.arange(len(out)))


def regression(strength: float) -> Any:
    """The linear probe."""
    from sklearn.linear_model import LogisticRegression

    # by class: what is compared first is balanced accuracy, and sets are as uneven as 5 to 1
    return LogisticRegression(C=strength, class_weight=PROBE["class_weight"], max_iter=300, tol=1e-3)


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, max_features=0.1, class_weight="balanced", random_state=0)


def _log(probs: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.log(np.maximum(probs, 1e-12))
    return result
