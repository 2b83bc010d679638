"""How many of the labels that are wrong does the report suspect? On real tissue, with errors we made; beside cleanlab.

    python -m benchmarks.label_errors crc5 --labels 500 --wrong 0.05 0.1 --seeds 0 1 2
    pip install cleanlab; python -m benchmarks.label_errors ...     # a second row: cleanlab on the same probabilities

By each seed so many patches are given labels, and a share of these is made wrong: the class that a frozen encoder's
logistic regression, fitted to all true labels, holds for second best, which is how people err. Then the probabilities
are those of the report (`stages.measures.label_errors.out_of_fold`, by patient or slide where there are any).
Prints, mean of the seeds: precision and recall of the suspects, and precision among as many of the first as there are
errors, beside what a list in random order would have.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.label_efficiency import desk as desks
from benchmarks.label_efficiency.listing import Listing
from benchmarks.sets import ROOT, in_words, sets_folder, weights_below
from stages.measures.label_errors import out_of_fold, suspected

Finder = Callable[[np.ndarray, np.ndarray], np.ndarray]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", help="crc5, crchisto27, luna50 below --data, or a manifest")
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--wrong", type=float, nargs="+", default=[0.05, 0.1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=sets_folder())
    parser.add_argument("--into", type=Path, help="where features are kept; default: runs/evidence/SET-small")
    args = parser.parse_args()
    into = args.into or ROOT / "runs" / "evidence" / f"{Path(args.set).stem}-small"
    weights = weights_below(args.data)
    study = desks.Study(args.set, into, args.data, weights, (), tuple(args.seeds), "small", (), (0.0,))
    desk = desks.prepared(study, lambda line: print(line, file=sys.stderr))
    finders = _finders()
    for share in args.wrong:
        drawn = [_mislabelled(desk, args.labels, share, seed) for seed in args.seeds]
        print(f"{args.labels} labels, {share:.0%} of them wrong; by chance precision {share:.3f}")
        for name, finder in finders.items():
            rows = np.array([_judged(finder(probs, given), wrong) for probs, given, wrong in drawn])
            precision, recall, first, count = rows.mean(axis=0)
            each = ", ".join(f"{row[2]:.3f}" for row in rows)
            print(
                f"  {name:10} suspects {count:6.1f}  precision {precision:.3f}  recall {recall:.3f}  "
                f"of the first {share * args.labels:.0f} {first:.3f} (each seed {each})",
                flush=True,
            )
    return 0


def _finders() -> dict[str, Finder]:
    found: dict[str, Finder] = {"ours": lambda probs, given: suspected(probs, given)[0]}
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        return found

    def theirs(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
        ranked: np.ndarray = find_label_issues(
            given,
            probs,
            filter_by="confident_learning",
            return_indices_ranked_by="normalized_margin",
            n_jobs=1,
        )
        return ranked

    return found | {"cleanlab": theirs}


def _mislabelled(desk: desks.Desk, count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (N, C), given labels (N,), and which of them are wrong (N,) bool."""
    listing, rng = desk.listing, np.random.default_rng(seed)
    known = np.flatnonzero(listing.label != "")
    rows = np.sort(rng.choice(known, count, replace=False))
    truth = np.array([listing.classes.index(str(name)) for name in listing.label[rows]])
    wrong = np.zeros(count, bool)
    wrong[rng.choice(count, round(share * count), replace=False)] = True
    given = np.where(wrong, _mistaken_for(desk.features[rows], truth), truth)
    probs = out_of_fold(desk.features[rows], given, _groups(listing, rows), len(listing.classes), seed)
    assert probs is not None, "too few labels of a class"
    return probs, given, wrong


def _mistaken_for(features: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) the class that each patch resembles most beside its own."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=1000)).fit(features, truth)
    likely = model.predict_proba(features)
    likely[np.arange(len(truth)), truth] = -1
    mistaken: np.ndarray = likely.argmax(axis=1)
    return mistaken


def _groups(listing: Listing, rows: np.ndarray) -> np.ndarray:
    # what stands for slides in the other tables is no part of the set: whoever has no slides has no such groups
    made = np.char.startswith(listing.slide.astype(str), desks.GROUP).any()
    return np.arange(len(rows)) if made else listing.group[rows]


def _judged(suspects: np.ndarray, wrong: np.ndarray) -> tuple[float, float, float, float]:
    """Precision, recall, precision of the first as many as there are errors, how many."""
    right = wrong[suspects]
    errors = int(wrong.sum())
    return right.mean() if len(right) else 0.0, right.sum() / errors, right[:errors].sum() / errors, len(suspects)


if __name__ == "__main__":
    sys.exit(in_words(main))
