"""One round on the page: its figures, charts and galleries."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.plan import at
from pipeline.report import charts, measures
from pipeline.report.advice import advice
from pipeline.report.cards import Card, Cards, said
from pipeline.report.galleries import RULES, gallery
from pipeline.report.measures import Shares
from pipeline.report.owners import Owners
from pipeline.report.run import Earlier, Round, Run
from pipeline.views.text_table import percent
from stages.select.belief import Belief

MOST_CLASSES = 20  # of a flip table; with more classes the commonest flips are listed
MOST_FLIPS = 20
MOST_OUTLIERS = 10


@dataclass(frozen=True)
class Flips:
    """heads: class names; rows: (class, [(count, shade 0..9)]); commonest: (from, to, count), the commonest first."""

    heads: list[str]
    rows: list[tuple[str, list[tuple[int, int]]]]
    commonest: list[tuple[str, str, int]]
    since: int


@dataclass(frozen=True)
class PlaceShares:
    """kind: slide, patient, site; outliers: (name, kept, pool, share kept, share of the pool)."""

    kind: str
    count: int
    chart: Markup
    outliers: list[tuple[str, int, int, float, float]]
    more: int


@dataclass(frozen=True)
class Gallery:
    """name: of the rule; total: how many patches the rule finds."""

    name: str
    title: str
    words: str
    total: int
    cards: list[Card]


@dataclass(frozen=True)
class RoundView:
    """index: in the document of `inspect --json`; alarms: (what, what to do)."""

    number: int
    index: int
    alarms: list[tuple[str, str]]
    classes: Markup
    histogram: Markup
    reliability: Markup | None
    curves: list[tuple[str, Markup]]
    flips: Flips | None
    shares: list[PlaceShares]
    galleries: list[Gallery] = field(default_factory=list)


def round_view(run: Run, now: Round, before: Earlier | None, cards: Cards, each: int) -> RoundView:
    """each: patches a gallery; 0 for none."""
    quality = now.found["quality"]
    names = [said(name, 40) for name in run.classes]
    per_class = quality["per_class"]
    return RoundView(
        now.number,
        run.numbers.index(now.number),
        [(said(alarm, 300), advice(alarm)) for alarm in quality.get("alarms", [])],
        charts.classes_chart(
            names, [row["share_kept"] for row in per_class], [row["share_labels"] for row in per_class]
        ),
        charts.histogram(*measures.histograms(now.confidence, now.kept)),
        _reliability(run, now),
        _curves(run, now.number),
        None if before is None else _flips(now, before, names),
        _shares(run, now),
        [_gallery(run, now, before, cards, name, each) for name in RULES] if each else [],
    )


def _reliability(run: Run, now: Round) -> Markup | None:
    given = run.splits.validation
    if not len(given):
        return None
    scores = now.held_out("validation")
    rows = np.searchsorted(scores.ids, given.ids)
    found = []
    for belief in (Belief(1.0), replace(now.belief, weights=None)):
        probs = belief.of(scores)[rows]
        found.append(measures.reliability(probs.max(axis=1), probs.argmax(axis=1) == given.label))
    return charts.reliability_chart(*found)


def _curves(run: Run, number: int) -> list[tuple[str, Markup]]:
    history = {
        way: run.metrics(at(number, name)).get("history") or [] for way, name in (("t", "teacher"), ("v", "student"))
    }
    found = []
    for title, key, share in (
        ("Validation balanced accuracy while training", "validation_balanced_accuracy", True),
        ("Training loss", "loss", False),
    ):
        series = [(way, _points(entries, key)) for way, entries in history.items()]
        drawn = charts.curves_chart(series, f"{title}, teacher and student", share)
        if drawn:
            found.append((title, drawn))
    return found


def _points(entries: Sequence[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    return [(float(entry["step"]), float(entry[key])) for entry in entries if entry.get(key) is not None]


def _flips(now: Round, before: Earlier, names: list[str]) -> Flips:
    known = before.predicted >= 0
    table = measures.flips(before.predicted[known], now.predicted[known], len(names))
    off = table.copy()
    np.fill_diagonal(off, 0)
    highest = max(int(off.max()), 1)
    order = np.argsort(-off, axis=None, kind="stable")[:MOST_FLIPS]
    pairs = [divmod(int(k), len(names)) for k in order if off.flat[k]]
    shade = np.ceil(9 * off / highest).astype(int)
    rows = [(name, list(zip(table[a].tolist(), shade[a].tolist(), strict=True))) for a, name in enumerate(names)]
    return Flips(
        names if len(names) <= MOST_CLASSES else [],
        rows if len(names) <= MOST_CLASSES else [],
        [(names[a], names[b], int(off[a, b])) for a, b in pairs],
        before.number,
    )


def _shares(run: Run, now: Round) -> list[PlaceShares]:
    found = []
    before: np.ndarray | None = None
    for owner in (run.slides, run.patients, run.sites):
        code = owner.code[now.rows]
        shares = measures.shares(code, now.kept)
        # where every patient has one slide, the second chart would be the first again
        if len(shares.code) > 1 and (before is None or not _alike(before, code)):
            found.append(_place_shares(owner, shares))
            before = code
    return found


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = len(np.unique(np.stack([one, other]), axis=1).T)
    return pairs == len(np.unique(one)) == len(np.unique(other))


def _place_shares(owner: Owners, shares: Shares) -> PlaceShares:
    named = {int(code): said(owner.names[int(code)]) for code in shares.code}
    rows = np.flatnonzero(shares.outlier)
    rows = rows[np.lexsort((shares.code[rows], -np.abs(shares.excess[rows])))]
    pool, kept = max(int(shares.pool.sum()), 1), max(int(shares.kept.sum()), 1)
    outliers = [
        (named[int(shares.code[k])], int(shares.kept[k]), int(shares.pool[k]), shares.kept[k] / kept,
         shares.pool[k] / pool)
        for k in rows[:MOST_OUTLIERS]
    ]  # fmt: skip
    chart = charts.shares_chart(shares, named, owner.kind)
    return PlaceShares(owner.kind, len(shares.code), chart, outliers, max(0, len(rows) - MOST_OUTLIERS))


def _gallery(run: Run, now: Round, before: Earlier | None, cards: Cards, name: str, each: int) -> Gallery:
    rows = gallery(name, now, before, run.seed)
    shown = rows[:each]
    found = []
    for row, probs in zip(shown, now.probs(shown), strict=True):
        notes = []
        if before is not None and 0 <= before.predicted[row] != now.predicted[row]:
            was = said(run.classes[int(before.predicted[row])], 40)
            notes.append(f"before: {was} ({percent(float(before.confidence[row]), 0)})")
        if (first := int(now.first_round[row])) >= 0 and name != "newly_in":
            notes.append(f"kept since round {first}")
        found.append(cards.card(int(now.pool.ids[row]), probs, notes))
    rule = RULES[name]
    return Gallery(name, rule.title, rule.words, len(rows), found)
