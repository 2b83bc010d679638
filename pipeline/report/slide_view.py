"""On the slide: what the first and the last round believed of its patches, on the slide as its patches show it."""

import base64
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from pipeline.report.cards import said
from pipeline.report.charts import overlay
from pipeline.report.measures import shares
from pipeline.report.mosaic import Mosaic, mosaic
from pipeline.report.palette import colour_class
from pipeline.report.patches import Pictures
from pipeline.report.places import VOLUME, Places
from pipeline.report.run import Round, Run

MOST_SLIDES = 48
MOST_READ = 12_000  # patches, of all slides together
MOST_DRAWN = 1200  # squares of one overlay


@dataclass(frozen=True)
class Panel:
    """title: what it shows; drawing: the overlay, None: the picture alone."""

    title: str
    drawing: Markup


@dataclass(frozen=True)
class SlideView:
    """One slide. image: a data URI, drawn once under the id `picture`; words: how much of it is kept, and drawn."""

    name: str
    picture: str
    image: str
    width: int
    height: int
    panels: list[Panel]
    words: str
    outlier: bool


@dataclass(frozen=True)
class SlidesView:
    """total: slides with pool patches and places; volume: of CT; exact: whether the squares' side is known."""

    slides: list[SlideView]
    total: int
    volume: bool
    exact: bool


def slides_view(run: Run, found: Places, first: Round, last: Round) -> SlidesView:
    """Outliers first, then by how many of their patches the last round keeps."""
    owner = shares(run.slides.code[last.rows], last.kept)
    able = np.isin(owner.code, found.slide)
    code, kept, pool, outlier = (a[able] for a in (owner.code, owner.kept, owner.pool, owner.outlier))
    order = np.lexsort((code, -kept, ~outlier))[:MOST_SLIDES]
    each = MOST_READ // max(len(order), 1)
    pictures = Pictures(run.store)
    said_by = [_Said(run, one) for one in ([first, last] if first.number != last.number else [last])]
    slides = []
    for k in order:
        drawn = mosaic(found, int(code[k]), pictures.of_row, each)
        name = said(run.slides.names[int(code[k])])
        picture = f"slide-{int(code[k])}"
        words = f"{kept[k]:,} of {pool[k]:,} pool patches kept"
        if drawn.heights:
            words += "; axial, at " + ", ".join(f"{height:.0f}" for height in drawn.heights) + " mm"
        if drawn.taken < len(drawn.row):
            words += f"; drawn from {drawn.taken:,} of its {len(drawn.row):,} patches"
        panels = [Panel("patches", overlay(drawn.width, drawn.height, picture, [], np.empty((0, 3)), f"{name}, plain"))]
        panels += [one.panel(drawn, picture, name, said_by[0]) for one in said_by]
        image = f"data:image/jpeg;base64,{base64.b64encode(drawn.jpeg).decode()}"
        slides.append(SlideView(name, picture, image, drawn.width, drawn.height, panels, words, bool(outlier[k])))
    return SlidesView(slides, int(able.sum()), found.kind == VOLUME, found.exact)


class _Said:
    """What a round kept, by row of the store. label: (N,) -1 not kept; confidence: (N,)."""

    def __init__(self, run: Run, now: Round) -> None:
        self.number, self.classes = now.number, run.classes
        self.label = np.full(len(run.store), -1, np.int16)
        self.confidence = np.zeros(len(run.store), np.float32)
        rows = now.rows[now.kept_rows]
        # a patch that stands under several labels is drawn as the one it is believed most to be
        order = np.argsort(now.selection.confidence, kind="stable")
        self.label[rows[order]] = now.selection.label[order]
        self.confidence[rows[order]] = now.selection.confidence[order]

    def panel(self, drawn: Mosaic, picture: str, name: str, first: "_Said") -> Panel:
        kept = np.flatnonzero(self.label[drawn.row] >= 0)
        kept = kept[:: max(1, -(-len(kept) // MOST_DRAWN))]
        label = self.label[drawn.row[kept]]
        sure = self.confidence[drawn.row[kept]] >= 0.9
        groups = [
            (f"{colour_class(code)} {way}", kept[(label == code) & (sure == (way == "sure"))])
            for code in range(len(self.classes))
            for way in ("sure", "unsure")
        ]
        before = first.label[drawn.row[kept]]
        groups.append(("changed", kept[(before >= 0) & (before != label)]))
        places = np.stack([drawn.left, drawn.top, drawn.side], axis=1)
        words = f"{name}, round {self.number}: {len(kept):,} patches with a pseudo-label"
        return Panel(f"round {self.number}", overlay(drawn.width, drawn.height, picture, groups, places, words))
