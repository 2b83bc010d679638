"""The charts of the page, from numbers alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from pipeline.report.measures import COLUMNS, Reliability, Shares
from pipeline.report.palette import colour_class
from pipeline.report.svg import curve, dots, drawing, line, squares, tag, text
from pipeline.report.verdict import Verdict
from pipeline.views.text_table import count, percent

WIDTH, HEIGHT = 340.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 18.0, 14.0, 34.0
FIRM = 0.01  # of the patches: bins with fewer are not joined by the line
MOST_POINTS = 400  # of a learning curve
MOST_NAMED = 4  # models below their chart: more names would lie upon each other
MOST_PLACES = 1500  # dots of slides or patients


@dataclass(frozen=True)
class Frame:
    """A plotting area: from data to the picture."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    width: float = WIDTH
    height: float = HEIGHT

    def x(self, value: float) -> float:
        """Across."""
        return LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Down."""
        return self.height - BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (self.height - TOP - BOTTOM)

    def grid(self, ticks: Sequence[float], shown: Callable[[float], str]) -> list[Markup]:
        """Horizontal lines with their values."""
        found = []
        for tick in ticks:
            y = self.y(tick)
            found.append(line(LEFT, y, self.width - RIGHT, y, "grid"))
            found.append(text(LEFT - 5, y + 4, shown(tick), "end"))
        return found

    def below(self, ticks: Sequence[float], shown: Callable[[float], str], title: str) -> list[Markup]:
        """Values along the lower edge, and what they are."""
        found = [text(self.x(tick), self.height - BOTTOM + 14, shown(tick)) for tick in ticks]
        return [*found, text((LEFT + self.width - RIGHT) / 2, self.height - 4, title, class_="title")]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values from low to high."""
    span = max(high - low, 1e-9)
    raw = span / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(float(power * factor) for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw - 1e-12)
    first = int(np.ceil(low / step - 1e-9))
    return [k * step for k in range(first, int(np.floor(high / step + 1e-9)) + 1)]


def rounds_chart(found: Verdict) -> Markup:
    """Every model on validation and test, with intervals; labels only and all labels as lines."""
    values = [
        value
        for model in found.models
        for figure in model.figures.values()
        for value in (figure.value, figure.low, figure.high)
        if value is not None
    ] + [value for value in found.ceiling.values() if value is not None]
    if not values:
        return Markup("")
    high = min(1.0, max(values) + 0.02)
    low = max(0.0, min(min(values) - 0.02, high - 0.05))
    frame = Frame(-0.5, len(found.models) - 0.5, low, max(high, low + 0.05), 460.0, 260.0)
    parts = frame.grid(ticks(frame.y_low, frame.y_high), lambda v: percent(v, 0))
    last, step = len(found.models) - 1, -(-len(found.models) // MOST_NAMED)
    named = [0, *(k for k in range(last, 0, -step) if k >= step)]  # the first and the last always
    parts += frame.below(named, lambda k: _short(found.models[int(k)].name), "")
    for split, way, shift in (("validation", "v", -0.08), ("test", "t", 0.08)):
        points = [
            (frame.x(k + shift), model.figures[split])
            for k, model in enumerate(found.models)
            if model.figures[split].value is not None
        ]
        if not points:
            continue
        first = points[0][1].value
        if found.models[0].figures[split].value is not None and len(points) > 1:
            assert first is not None
            parts.append(line(LEFT, frame.y(first), frame.width - RIGHT, frame.y(first), f"base {way}"))
        if (top := found.ceiling.get(split)) is not None:
            parts.append(line(LEFT, frame.y(top), frame.width - RIGHT, frame.y(top), f"ceiling {way}"))
        parts.append(curve([(x, frame.y(figure.value or 0)) for x, figure in points], f"line {way}"))
        for x, figure in points:
            if figure.low is not None and figure.high is not None:
                parts.append(line(x, frame.y(figure.low), x, frame.y(figure.high), f"whisker {way}"))
            parts.append(tag("circle", cx=x, cy=frame.y(figure.value or 0), r=4.5, class_=f"point {way}"))
    words = found.metric.replace("_", " ")
    told = "; ".join(
        f"{model.name}: " + ", ".join(f"{split} {percent(figure.value)}" for split, figure in model.figures.items())
        for model in found.models
    )
    return drawing(frame.width, frame.height, f"{words} of every model. {told}", *parts)


def histogram(kept: np.ndarray, rejected: np.ndarray) -> Markup:
    """Kept patches below, rejected ones on top, by confidence. Both (COLUMNS,)."""
    highest = max(int((kept + rejected).max()), 1)
    frame = Frame(0, 1, 0, highest)
    parts = frame.grid(ticks(0, highest, 4), lambda v: _brief(v))
    parts += frame.below([0, 0.25, 0.5, 0.75, 1], lambda v: percent(v, 0), "confidence")
    wide = frame.x(1 / COLUMNS) - frame.x(0) - 1
    for k in range(COLUMNS):
        x, total = frame.x(k / COLUMNS) + 0.5, kept[k] + rejected[k]
        for low, high, way in ((0, kept[k], "kept"), (kept[k], total, "rejected")):
            if high > low:
                top, end = frame.y(high), frame.y(low)
                parts.append(tag("rect", x=x, y=top, width=wide, height=end - top, class_=f"bar {way}"))
    share = kept.sum() / max(int((kept + rejected).sum()), 1)
    return drawing(WIDTH, HEIGHT, f"confidence of the pool; {percent(float(share))} of it is kept", *parts)


def reliability_chart(before: Reliability, after: Reliability) -> Markup:
    """Confidence against accuracy; on the diagonal confidence means what it says."""
    frame = Frame(0, 1, 0, 1)
    parts = frame.grid([0, 0.25, 0.5, 0.75, 1], lambda v: percent(v, 0))
    parts += frame.below([0, 0.25, 0.5, 0.75, 1], lambda v: percent(v, 0), "confidence on validation")
    parts.append(line(frame.x(0), frame.y(0), frame.x(1), frame.y(1), "diagonal"))
    for found, way in ((before, "t"), (after, "v")):
        full = np.flatnonzero(found.count)
        points = [(frame.x(float(found.confidence[k])), frame.y(float(found.accuracy[k]))) for k in full]
        # a bin of two or three patches says little: it has its dot, and no line
        firm = [point for point, k in zip(points, full, strict=True) if found.count[k] >= FIRM * found.count.sum()]
        if firm:
            parts.append(curve(firm, f"line {way}"))
        most = max(int(found.count.max()), 1)
        for (x, y), k in zip(points, full, strict=True):
            radius = 2 + 5 * float(np.sqrt(found.count[k] / most))
            parts.append(tag("circle", tag("title", _bin(found, int(k))), cx=x, cy=y, r=radius, class_=f"point {way}"))
    return drawing(WIDTH, HEIGHT, "accuracy against confidence on validation, before and after temperature", *parts)


def classes_chart(classes: Sequence[str], kept: Sequence[float | None], given: Sequence[float | None]) -> Markup:
    """Each class's share of what is kept as a bar, of the labels as a mark."""
    highest = max([value for value in (*kept, *given) if value is not None] or [1.0])
    row, name = 24.0, 108.0
    height = row * len(classes) + 6
    scale = (WIDTH - name - 46) / max(highest, 1e-9)
    parts: list[Markup] = []
    for k, title in enumerate(classes):
        y = 4 + k * row
        share, prior = kept[k] or 0.0, given[k] or 0.0
        parts.append(text(name - 6, y + 14, _cut(title, 16), "end"))
        parts.append(
            tag("rect", x=name, y=y + 3, width=share * scale, height=row - 9, class_=f"bar own {colour_class(k)}")
        )
        parts.append(line(name + prior * scale, y, name + prior * scale, y + row - 3, "mark"))
        parts.append(text(name + max(share, prior) * scale + 5, y + 14, percent(kept[k], 0), "start"))
    told = "; ".join(
        f"{title} {percent(a)} of kept, {percent(b)} of labels"
        for title, a, b in zip(classes, kept, given, strict=True)
    )
    return drawing(WIDTH, height, told, *parts)


def shares_chart(found: Shares, named: dict[int, str], what: str) -> Markup:
    """Each place's share of what is kept against its share of the pool; outliers are marked and named on pointing."""
    rows = np.arange(len(found.code))
    if len(rows) > MOST_PLACES:
        order = np.lexsort((found.code, -np.abs(found.excess)))
        rows = order[:MOST_PLACES]
    pool = found.pool / max(found.pool.sum(), 1)
    kept = found.kept / max(found.kept.sum(), 1)
    high = max(float(max(pool[rows].max(), kept[rows].max())) * 1.05, 1e-6)
    frame = Frame(0, high, 0, high)
    parts = frame.grid(ticks(0, high, 4), _share)
    parts += frame.below(ticks(0, high, 4), _share, "share of the pool")
    parts.append(line(frame.x(0), frame.y(0), frame.x(high), frame.y(high), "diagonal"))
    plain = rows[~found.outlier[rows]]
    parts.append(
        dots(np.array([frame.x(v) for v in pool[plain]]), np.array([frame.y(v) for v in kept[plain]]), "dot soft")
    )
    for k in rows[found.outlier[rows]]:
        title = tag("title", f"{named[int(found.code[k])]}: {percent(kept[k])} of kept, {percent(pool[k])} of the pool")
        parts.append(tag("circle", title, cx=frame.x(pool[k]), cy=frame.y(kept[k]), r=4.0, class_="point bad"))
    label = f"share of what is kept against share of the pool, a dot a {what}; {int(found.outlier.sum())} outliers"
    return drawing(WIDTH, HEIGHT, label, *parts)


def curves_chart(series: Sequence[tuple[str, Sequence[tuple[float, float]]]], title: str, share: bool) -> Markup:
    """Values by step. series: (v or t, points); share: values are shares of one."""
    points = [point for _, each in series for point in each if np.isfinite(point[1])]
    if not points:
        return Markup("")
    steps, values = [p[0] for p in points], [p[1] for p in points]
    low, high = (max(0.0, min(values) - 0.02), min(1.0, max(values) + 0.02)) if share else (0.0, max(values) * 1.05)
    frame = Frame(0, max(steps), low, max(high, low + 1e-6))
    parts = frame.grid(ticks(frame.y_low, frame.y_high, 4), lambda v: percent(v, 0) if share else f"{v:.3g}")
    parts += frame.below(ticks(0, max(steps), 4), _brief, "step")
    for way, each in series:
        thin = each[:: max(1, len(each) // MOST_POINTS)]
        own = [(frame.x(step), frame.y(value)) for step, value in thin if np.isfinite(value)]
        if own:
            parts.append(curve(own, f"line {way}"))
            parts += [tag("circle", cx=x, cy=y, r=2.5, class_=f"point {way}") for x, y in own if len(own) < 40]
    return drawing(WIDTH, HEIGHT, title, *parts)


def map_chart(xy: np.ndarray, groups: Sequence[tuple[str, np.ndarray]], label: str) -> Markup:
    """Dots of a map, group after group, later ones on top. groups: (CSS class, rows)."""
    side = 320.0
    low, high = np.quantile(xy, [0.002, 0.998], axis=0)
    span = np.maximum(high - low, 1e-9)
    placed = 8 + np.clip((xy - low) / span, 0, 1) * (side - 16)
    parts = [dots(placed[rows, 0], side - placed[rows, 1], f"dot {way}") for way, rows in groups if len(rows)]
    return drawing(side, side, label, *parts, class_="chart map")


def overlay(
    width: int, height: int, picture: str, groups: Sequence[tuple[str, np.ndarray]], places: np.ndarray, label: str
) -> Markup:
    """A picture that stands elsewhere on the page, with squares. places: (K, 3) left, top, side; groups: as in maps."""
    parts = [tag("use", href=f"#{picture}")]
    for way, rows in groups:
        if len(rows):
            parts.append(squares(places[rows, 0], places[rows, 1], places[rows, 2], f"square {way}"))
    return drawing(float(width), float(height), label, *parts, class_="chart tissue")


def _bin(found: Reliability, k: int) -> str:
    sure, right = (percent(float(values[k])) for values in (found.confidence, found.accuracy))
    return f"{count(int(found.count[k]))} patches: {sure} sure, {right} right"


def _brief(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.3g} M"
    return f"{value / 1e3:.3g} k" if value >= 1e4 else f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:.2g}"


def _share(value: float) -> str:
    return percent(value, 0 if value >= 0.0999 or value == 0 else 1)


def _short(name: str) -> str:
    return name.removesuffix(" model")


def _cut(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
