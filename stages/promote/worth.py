"""How many rounds are worth it, by what models say of given labels that their chains never saw. Pure.

Every chain of a cross-validation leaves one fold of the labels out. Together they judge each labelled patch once after
every number of rounds, and the gate's own test (`stages.promote.stage`) goes through the rounds: a round is worth it
unless it is found worse than the best before. In doubt more rounds are taken, as the gate takes them;
`worse_limit: 0.5` makes the figure alone decide.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.keys import seed_of
from stages.measures.interval import interval
from stages.measures.judged import Judged
from stages.measures.quality import plain
from stages.promote.config import PromoteConfig
from stages.promote.stage import decide, figure


def together(folds: Sequence[Judged]) -> Judged:
    """What several chains say, each of patches of its own, as one."""
    ids = np.concatenate([one.ids for one in folds])
    order = np.argsort(ids)
    assert bool((np.diff(ids[order]) > 0).all()), "a patch is judged by one chain alone"
    return Judged(
        ids[order],
        *(np.concatenate([getattr(one, name) for one in folds])[order] for name in ("log_probs", "label", "group")),
    )


def choose(section: PromoteConfig, models: Sequence[Sequence[Judged]], seed: int) -> dict[str, Any]:
    """JSON values: `chosen` rounds, `why` in words, and a row for each number of rounds.

    models[n][k]: what the model after n rounds of the chain without fold k says of fold k. `against` is the best
    before: the round of the highest figure among those that passed, of equal ones the last.
    """
    gate = section.model_copy(update={"gate": True})
    said = [together(folds) for folds in models]
    figures = [figure(section.metric, one) for one in said]
    rows: list[dict[str, Any]] = []
    best = chosen = 0
    for n, one in enumerate(said):
        row: dict[str, Any] = {
            "rounds": n,
            "figure": plain(figures[n]),
            "interval": [plain(end) for end in interval(section.metric, one, seed, "crossval", n)],
            "folds": [plain(figure(section.metric, fold)) for fold in models[n]],
        }
        if n:
            decision = decide(gate, said[best], one, seed_of(seed, "crossval", n))
            told = {key: decision[key] for key in ("difference", "probability_worse", "resampled", "undecided")}
            row |= {"against": best, "passes": decision["winner"] == "student"}
            row |= told | {"difference_interval": decision["interval"]}
        rows.append(row)
        if n and row["passes"]:
            chosen = n
            best = n if figures[n] >= figures[best] else best
    return {
        "metric": section.metric,
        "test": section.test,
        "tolerance": section.tolerance,
        "worse_limit": section.worse_limit,
        "labels": len(said[0]),
        "groups": len(np.unique(said[0].group)),
        "rounds": rows,
        "chosen": chosen,
        "why": _why(rows, chosen, section),
    }


def _why(rows: list[dict[str, Any]], chosen: int, section: PromoteConfig) -> str:
    if len(rows) == 1:
        return "there is no round to weigh against the labels alone"
    if not chosen:
        return f"every round is found worse than the labels alone: {_compared(rows[1], rows, section)}"
    row = rows[chosen]
    why = f"the last round that is not found worse than the best before: {_compared(row, rows, section)}"
    if row["undecided"]:
        why += "; these labels cannot tell the two apart, and in doubt a round is taken"
    return why


def _compared(row: dict[str, Any], rows: list[dict[str, Any]], section: PromoteConfig) -> str:
    low, high = (100 * end for end in row["difference_interval"])
    words = (
        f"{section.metric.replace('_', ' ')} {rows[row['against']]['figure']:.3f} with {_rounds(row['against'])} -> "
        f"{row['figure']:.3f} with {row['rounds']}, 95 % interval {low:+.1f} to {high:+.1f} points"
    )
    if section.test == "paired":
        words += f", worse with probability {row['probability_worse']:.2f}, limit {section.worse_limit:g}"
    return f"{words}, tolerance {section.tolerance:g}"


def _rounds(n: int) -> str:
    return f"{n} round{'s' * (n != 1)}"
