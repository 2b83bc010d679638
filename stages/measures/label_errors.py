"""Which given labels look wrong: confident learning (Northcutt, Jiang & Chuang 2021, "Confident Learning"). Pure."""

import numpy as np


def suspected(probs: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose label is in doubt, the most doubtful first, and the class each looks like.

    probs: (N, C) of a model that did not learn these labels; given: (N,) in [0, C). A patch is suspected when another
    class j than its label is believed in at least as much as patches labelled j are on the mean (the off-diagonal of
    the confident joint). Ordered by the normalised margin, the probability of the label less the largest other.
    Returns rows (M,) int64 and class (M,) int64.
    """
    count, classes = probs.shape
    labelled = np.bincount(given, minlength=classes)
    own = probs[np.arange(count), given]
    # a class without any label has no threshold: nothing can be said to belong to it
    threshold = np.divide(
        np.bincount(given, weights=own, minlength=classes), labelled, out=np.full(classes, np.inf), where=labelled > 0
    )
    able = np.where(probs >= threshold - 1e-12, probs, -1.0)
    looks = able.argmax(axis=1)
    rows = np.flatnonzero((able.max(axis=1) >= 0) & (looks != given))
    margin = own[rows] - probs[rows, looks[rows]]
    order = np.argsort(margin, kind="stable")
    return rows[order], looks[rows[order]].astype(np.int64)


def out_of_fold(
    features: np.ndarray, given: np.ndarray, groups: np.ndarray, classes: int, seed: int
) -> np.ndarray | None:
    """(N, C) probabilities of each patch by a logistic regression that was fitted without its group.

    features: (N, D); given: (N,) in [0, C); groups: (N,) equal for patches of one patient (else slide, else patch).
    Folds (at most five) keep groups together where that leaves every class in training, else only classes are kept
    even. None where a class has a single label: there is nothing to be held out.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    present, code = np.unique(given, return_inverse=True)
    smallest = int(np.bincount(code).min()) if len(code) else 0
    if smallest < 2 or len(present) < 2:
        return None
    folds = min(5, smallest)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    plain = StratifiedKFold(folds, shuffle=True, random_state=seed)
    split = list(plain.split(features, code))
    if len(np.unique(groups)) >= 2 * folds:
        grouped = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(features, code, groups))
        if all(len(test) and len(np.unique(code[train])) == len(present) for train, test in grouped):
            split = grouped
    found = cross_val_predict(model, features, code, cv=split, method="predict_proba")
    probs = np.zeros((len(given), classes))
    probs[:, present] = found
    return probs
