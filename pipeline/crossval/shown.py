"""A cross-validation for people: what it is going to cost, and what it found."""

from collections.abc import Sequence
from typing import Any

from data.printable import printable
from pipeline.config.chain import ChainConfig
from pipeline.crossval.configs import trainings
from pipeline.directory import ledger
from pipeline.directory.layout import Layout
from pipeline.plan import FINAL
from pipeline.views.text_table import count, duration, percent, table

HEAD = (
    "rounds",
    "{metric}",
    "95 % interval",
    "best before",
    "difference",
    "95 % interval",
    "worse (prob.)",
    "worth it",
)


def announcement(config: ChainConfig, runs: Sequence[Layout]) -> list[str]:
    """Before anything is run. runs: a directory a fold, and that of the last chain."""
    folds, each = len(runs) - 1, trainings(config)
    lines = [
        f"the labelled patches in {folds} parts: {folds} chains, each without one of them, which judges its models; "
        "then one chain on all labels",
        f"that is {len(runs)} chains of up to {_rounds(config.rounds)} and {each} training{'s' * (each > 1)}: at most "
        f"{len(runs) * each} trainings, and {len(runs)} times what `run` costs; the patches are stored once",
    ]
    done = [run for run in runs if run.stands(FINAL)]
    spent = [sum(ledger.seconds(run.ledger).values()) for run in done]
    if done and len(done) < len(runs):
        left = (len(runs) - len(done)) * sum(spent) / len(spent)
        names = ", ".join(run.root.name for run in done)
        lines.append(f"done already: {names}, in {duration(sum(spent))}; about {duration(left)} to go")
    return lines


def result_table(found: dict[str, Any]) -> list[str]:
    """The content of crossval.json as a table, with what was chosen and why."""
    metric = str(found["metric"]).replace("_", " ")
    lines = table([head.format(metric=metric) for head in HEAD], [_row(row) for row in found["rounds"]])
    for one in found["ended"]:
        lines.append(
            f"fold {one['fold']} ended after {_rounds(one['rounds'])}: {one['reason']} ({printable(one['detail'])}); "
            "beyond, the teacher it kept stands in"
        )
    lines.append(
        f"judged: {count(found['labels'])} labelled patches in {count(found['groups'])} patients, slides or patches, "
        f"each by the chain of {found['folds']} that never saw it"
    )
    return [*lines, f"chosen: {_rounds(found['chosen'])}: {printable(found['why'])}"]


def _row(row: dict[str, Any]) -> list[str]:
    own = [str(row["rounds"]), percent(row["figure"]), _span(row["interval"], "{:.1f} to {:.1f} %")]
    if not row["rounds"]:
        return [*own, "", "", "", "", ""]
    return [
        *own,
        str(row["against"]),
        f"{100 * row['difference']:+.1f}",
        _span(row["difference_interval"], "{:+.1f} to {:+.1f}"),
        f"{row['probability_worse']:.2f}",
        "yes" if row["passes"] else "no",
    ]


def _span(ends: Sequence[float], form: str) -> str:
    return form.format(*(100 * end for end in ends))


def _rounds(n: int) -> str:
    return f"{n} round{'s' * (n != 1)}"
