"""Did it work? Every model of the chain on validation and test, with intervals, and the answer in one sentence."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.directory.layout import Layout
from pipeline.directory.record import read_facts
from pipeline.plan import FINAL, at
from pipeline.report.run import Run
from pipeline.views.gate_metric import gate_metric
from pipeline.views.judged import judged_of
from pipeline.views.text_table import percent
from stages.measures.interval import interval
from stages.measures.judged import Judged, groups_of, read_judged
from stages.measures.paired import METRICS, compare
from stages.measures.quality import confusion

SPLITS = ("validation", "test")


@dataclass(frozen=True)
class Figure:
    """A share with its 95 % interval; low and high are None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Model:
    """One model that was, or would be, the result. after: rounds before it; address: of its directory."""

    name: str
    after: int
    address: str
    figures: dict[str, Figure]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """kind: good, bad, open, none; sentence: for everybody; ceiling: figures of a run with all labels."""

    metric: str
    models: list[Model]
    kind: str
    sentence: str
    ceiling: dict[str, float | None]


def verdict(run: Run, all_labels: Layout | None) -> Verdict:
    """Read the models that stand and judge them. all_labels: a finished run on all labels, for comparison."""
    metric = gate_metric(run.config)
    models = _models(run, metric)
    ceiling: dict[str, float | None] = {}
    if all_labels is not None:
        top = Run.open(all_labels).metrics(FINAL)
        ceiling = {split: (top.get(split) or {}).get(metric) for split in SPLITS}
    kind, sentence = _sentence(run, models, metric)
    return Verdict(metric, models, kind, sentence, ceiling)


def _models(run: Run, metric: str) -> list[Model]:
    """Every model once: where a teacher stayed, its copy in the next round, or in final, is no further model."""
    rounds = int(run.config["rounds"])
    standing = [number for number in range(rounds + 1) if run.layout.stands(at(number, "teacher"))]
    places = [(at(n, "teacher"), n) for n in standing if n == 0 or _won(run, at(n, "teacher"))]
    if run.layout.stands(FINAL) and standing:
        if _won(run, FINAL):
            places.append((FINAL, standing[-1] + 1))
        elif len(places) > 1:  # the newest of those that won is the result
            places[-1] = (FINAL, places[-1][1])
    elif standing and run.layout.stands(last := at(standing[-1], "student")):
        places.append((last, standing[-1] + 1))
    found: list[Model] = []
    spread: tuple[float, float] | None = None
    for address, after in places:
        metrics = run.metrics(address)
        spread = _test_spread(run, after, metric) or spread
        figures = {"validation": _validation(run, address, metric, metrics), "test": _test(metric, metrics, spread)}
        found.append(Model(_name(address, after), after, address, figures, metrics))
    return found


def _won(run: Run, address: str) -> bool:
    """Whether what is promoted there is a student: a new model."""
    return read_facts(run.layout.place(address) / "promotion.json").get("winner") != "teacher"


def _name(address: str, after: int) -> str:
    if address == FINAL:
        return "final model"
    return "labels only" if after == 0 else f"after round {after - 1}"


def _validation(run: Run, address: str, metric: str, metrics: dict[str, Any]) -> Figure:
    value = (metrics.get("validation") or {}).get(metric)
    judged = read_judged(run.layout.place(address)) if value is not None else None
    return Figure(value) if judged is None else Figure(value, *interval(metric, judged, "report", "validation"))


def _test(metric: str, metrics: dict[str, Any], spread: tuple[float, float] | None) -> Figure:
    value = (metrics.get("test") or {}).get(metric)
    if value is None or spread is None:
        return Figure(value)
    return Figure(value, max(0.0, value + spread[0]), min(1.0, value + spread[1]))


def _test_spread(run: Run, number: int, metric: str) -> tuple[float, float] | None:
    """How far the interval reaches below and above the figure, from the scores of a round's teacher on test."""
    if number not in run.numbers or not len(given := run.splits.test):
        return None
    scores = run.round(number).held_out("test")
    log_probs = scores.log_probs[np.searchsorted(scores.ids, given.ids)].astype(np.float32)
    judged = Judged(given.ids, log_probs, given.label, groups_of(run.table, given.ids))
    low, high = interval(metric, judged, "report", "test")
    point = METRICS[metric](confusion(judged.label, judged.predicted, log_probs.shape[1]))
    return low - point, high - point


def _trained(run: Run) -> bool:
    return any(run.layout.stands(at(number, "student")) for number in range(int(run.config["rounds"])))


def _sentence(run: Run, models: list[Model], metric: str) -> tuple[str, str]:
    words = metric.replace("_", " ")
    if not models:
        return "none", "No model is finished yet."
    first, last = models[0], models[-1]
    on_test = ""
    if (value := last.figures["test"].value) is not None:
        on_test = f" On test it is {percent(value)}"
        alone = first.figures["test"].value
        on_test += f", with labels only {percent(alone)}." if last is not first and alone is not None else "."
    if last is first and run.layout.stands(FINAL):
        passed = "no student passed" if _trained(run) else "no student was trained"
        value = last.figures["validation"].value
        known = "" if value is None else f": validation {words} {percent(value)}"
        return "none", f"The first teacher is the model, since {passed}{known}.{on_test}"
    if last.figures["validation"].value is None:
        return "open", f"There are no validation labels, so nothing here can say whether the rounds helped.{on_test}"
    if last is first:
        return "none", f"Labels only so far: validation {words} {percent(last.figures['validation'].value)}.{on_test}"
    before, after = (judged_of(run.layout, model.address) for model in (first, last))
    classes = before.log_probs.shape[1]
    pair = compare(metric, before.label, before.predicted, after.predicted, before.group, classes, 0.0, run.seed)
    change = (
        f"validation {words} {percent(first.figures['validation'].value)} with labels only, "
        f"{percent(last.figures['validation'].value)} now ({100 * pair.difference:+.1f} points, 95 % interval "
        f"{100 * pair.low:+.1f} to {100 * pair.high:+.1f})"
    )
    if not math.isfinite(pair.difference):
        return "open", f"It cannot be told whether the rounds helped: {change}.{on_test}"
    if pair.low > 0:
        return "good", f"The rounds helped: {change}.{on_test}"
    if pair.high < 0:
        return "bad", f"The rounds made it worse: {change}.{on_test}"
    return "open", f"It is not shown that the rounds helped: {change}; {pair.wanted} would tell.{on_test}"
