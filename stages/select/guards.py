"""Guard rails: is a chain closing in on itself? Figures of the whole round, and what to say of them. Pure."""

from typing import Any

import numpy as np

from stages.blocks import counts
from stages.measures.quality import churn, plain, ratio, top5_share
from stages.select.figures import Beliefs
from stages.select.wording import percent

# A pool may well be less even than the labels, but half of their entropy is far out: with five classes of equal
# labels it is three classes of which one has nine patches in ten.
ENTROPY_ALARM = 0.5
# Rounds agree more and more where a chain converges. Five points are beyond what retraining with another seed does
# to a stable teacher's pool (two or three), so a fall of that size is a change of mind.
AGREEMENT_ALARM = 0.05
# Five slides that give more than half of what is kept, and twice their share of the pool, are what will be learnt.
TOP5_ALARM, TOP5_EXCESS = 0.5, 2.0


def guards(beliefs: Beliefs) -> dict[str, Any]:
    """The figures of the alarms: JSON values, None where not defined.

    entropy_*: nats, of the classes predicted for the pool, of the kept labels, and of the given labels; agreement:
    share of the pool whose predicted class is that of the round before; top5_pool: share of the pool in those five
    patients or slides that give most of what is kept.
    """
    classes = len(beliefs.classes)
    inside = np.zeros(len(beliefs.predicted), bool)
    inside[beliefs.kept.row] = True
    return {
        "entropy_predicted": plain(entropy(counts(beliefs.predicted, classes))),
        "entropy_kept": plain(entropy(counts(beliefs.kept.label, classes))),
        "entropy_labels": plain(entropy(beliefs.labels)),
        "agreement": None if beliefs.before is None else plain(1 - churn(beliefs.before, beliefs.predicted)),
        "top5_share": plain(top5_share(beliefs.places, inside)),
        "top5_pool": plain(share_of_top5(beliefs.places, inside)),
    }


def guard_alarms(now: dict[str, Any], before: dict[str, Any] | None, unit: str | None) -> list[str]:
    """In words what a person should look at. before: the guards of the round before; unit: patient, slide."""
    found = []
    for name, what in (("predicted", "predicted classes of the pool"), ("kept", "kept labels")):
        entropy_now, given = now[f"entropy_{name}"], now["entropy_labels"]
        if entropy_now is not None and given and entropy_now < ENTROPY_ALARM * given:
            found.append(f"collapse: the {what} have an entropy of {entropy_now:.2f}, the given labels {given:.2f}")
    earlier = None if before is None else before["agreement"]
    if earlier is not None and now["agreement"] is not None and now["agreement"] < earlier - AGREEMENT_ALARM:
        found.append(
            f"agreement between rounds falls: {percent(now['agreement'])} of the pool keep their class, "
            f"{percent(earlier)} did in the round before"
        )
    share, pool = now["top5_share"], now["top5_pool"]
    if share is not None and pool is not None and share > TOP5_ALARM and share > TOP5_EXCESS * pool:
        found.append(
            f"five {unit or 'place'}s give {percent(share)} of the kept patches and hold {percent(pool)} of the pool"
        )
    return found


def entropy(counts: np.ndarray) -> float:
    """Shannon entropy of the shares of `counts` (C,) in nats; NaN when all are 0."""
    total = counts.sum()
    if not total:
        return float("nan")
    share = counts[counts > 0] / total
    return float(-(share * np.log(share)).sum()) + 0.0


def share_of_top5(places: np.ndarray, kept: np.ndarray) -> float:
    """Share of the whole pool in the five places that give most of what is kept. places: (N,) codes, -1 unknown."""
    codes, counts = np.unique(places[kept & (places >= 0)], return_counts=True)
    top = codes[np.argsort(-counts, kind="stable")[:5]]
    return ratio(np.isin(places, top).sum(), (places >= 0).sum()) if len(top) else float("nan")
