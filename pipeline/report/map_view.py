"""The map of embeddings under several colourings, and the pool patches that lie far from every label."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from pipeline.report.cards import Card, Cards, said
from pipeline.report.charts import map_chart
from pipeline.report.likeness import Likeness
from pipeline.report.palette import COLOURS, STEPS, colour_class
from pipeline.report.run import Round, Run

Key = list[tuple[str, str]]  # (CSS class, words) of a legend


@dataclass(frozen=True)
class Colouring:
    """One map. key: its legend."""

    title: str
    drawing: Markup
    key: Key


@dataclass(frozen=True)
class MapView:
    """words: how it was made; far: cards of far patches, far_total of them in the sample, far_share of its pool."""

    words: str
    colourings: list[Colouring]
    far: list[Card]
    far_total: int
    far_share: float


def map_view(run: Run, found: Likeness, last: Round | None, cards: Cards, each: int) -> MapView:
    """last: the newest round with a selection."""
    count = len(found.ids)
    words = (
        f"{count:,} patches ({int(found.labelled.sum()):,} labelled, {int((~found.labelled).sum()):,} of the pool), "
        f"drawn at random by patch id (seed {run.seed})"
    )
    words += ", as many as the time allowed" if found.cut else ""
    words += f"; embeddings of {found.model} on clean patches; {found.how}."
    colourings = [_by_split(found)]
    if last is not None:
        colourings += _by_round(run, found, last)
    colourings += _by_site(run, found)
    rows = found.far[:each]
    probs = np.full((len(rows), len(run.classes)), np.nan)
    shown: list[Card] = []
    if last is not None and len(rows):
        at = np.searchsorted(last.pool.ids, found.ids[rows])
        probs = last.probs(np.minimum(at, len(last.pool) - 1))
        shown = [
            cards.card(int(found.ids[row]), p, [f"distance {found.distance[row]:.3f}, limit {found.limit:.3f}"])
            for row, p in zip(rows, probs, strict=True)
        ]
    return MapView(words, colourings, shown, len(found.far), found.far_share)


def _by_split(found: Likeness) -> Colouring:
    far = np.zeros(len(found.ids), bool)
    far[found.far] = True
    groups = [
        ("soft", np.flatnonzero(~found.labelled & ~far)),
        ("far", np.flatnonzero(far)),
        ("given", np.flatnonzero(found.labelled)),
    ]
    key: Key = [("soft", "pool"), ("far", "pool, far from every label"), ("given", "labelled")]
    return _colouring(found, "Labelled and pool", groups, key)


def _by_round(run: Run, found: Likeness, last: Round) -> list[Colouring]:
    there = np.isin(found.ids, last.pool.ids)  # of an empty pool, none
    at = np.searchsorted(last.pool.ids, found.ids[there])
    label = found.label.copy()
    label[there] = last.predicted[at]
    names = [said(name, 40) for name in run.classes]
    by_class = [(colour_class(code), np.flatnonzero(label == code)) for code in range(len(names))]
    key = [(colour_class(code), name) for code, name in enumerate(names)]
    confidence = np.full(len(there), np.nan)
    confidence[there] = last.confidence[at]
    edges = np.array([0.0, 0.5, 0.7, 0.9, 0.97, 1.01])
    bins = np.digitize(confidence, edges) - 1
    shades = [(f"q{k}", np.flatnonzero(there & (bins == k))) for k in range(len(STEPS))]
    sure = [(f"q{k}", w) for k, w in enumerate(("under 50 %", "50 to 70 %", "70 to 90 %", "90 to 97 %", "over 97 %"))]
    first = np.full(len(there), -1)
    first[there] = last.first_round[at]
    groups = [("soft", np.flatnonzero(there & (first < 0)))]
    entered: Key = [("soft", "not kept")]
    rounds = list(range(last.number + 1))
    for k, part in enumerate(np.array_split(rounds, min(len(STEPS), len(rounds)))):
        groups.append((f"q{k}", np.flatnonzero(np.isin(first, part))))
        entered.append((f"q{k}", f"round {part[0]}" if len(part) == 1 else f"rounds {part[0]} to {part[-1]}"))
    return [
        _colouring(found, "Class: given, else predicted", by_class, key),
        _colouring(found, f"Confidence in round {last.number}", shades, sure),
        _colouring(found, "Kept since", groups, entered),
    ]


def _by_site(run: Run, found: Likeness) -> list[Colouring]:
    code = run.sites.code[run.store.rows(found.ids)]
    named, counts = np.unique(code[code >= 0], return_counts=True)
    if len(named) < 2:
        return []
    shown = named[np.argsort(-counts, kind="stable")][: len(COLOURS) - 1]
    groups = [("soft", np.flatnonzero(~np.isin(code, shown)))]
    groups += [(colour_class(k), np.flatnonzero(code == site)) for k, site in enumerate(shown)]
    key: Key = [(colour_class(k), said(run.sites.names[int(site)], 40)) for k, site in enumerate(shown)]
    key += [("soft", "other or unknown")] if len(groups[0][1]) else []
    return [_colouring(found, "Site", groups, key)]


def _colouring(found: Likeness, title: str, groups: list[tuple[str, np.ndarray]], key: Key) -> Colouring:
    label = f"map of {len(found.ids)} patches: {title}"
    return Colouring(title, map_chart(found.xy, groups, label), key)
