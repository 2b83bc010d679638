"""Inline SVG, escaped: a few shapes that take their colours from the page's style, so that they follow its scheme."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

Child = Markup | str


def tag(name: str, *children: Child, **attributes: object) -> Markup:
    """An element. `class_` is class, `_` in names is `-`, None leaves an attribute out; text is escaped."""
    parts = [
        f' {key.rstrip("_").replace("_", "-") if key != "viewBox" else key}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    inner = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{''.join(parts)}>{inner}</{name}>")  # noqa: S704 every part is escaped above


def drawing(width: float, height: float, label: str, *children: Child, class_: str = "chart") -> Markup:
    """A picture of its own, as wide as its place. label: what it shows, for who does not see it."""
    box = f"0 0 {_text(width)} {_text(height)}"
    return tag("svg", *children, class_=class_, viewBox=box, role="img", aria_label=label)


def text(x: float, y: float, words: str, anchor: str = "middle", class_: str | None = None) -> Markup:
    """One line of text. anchor: start, middle or end."""
    return tag("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("path", d=f"M{_text(x1)} {_text(y1)}L{_text(x2)} {_text(y2)}", class_=class_)


def curve(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """A line through points."""
    return tag("path", d="M" + "L".join(f"{_text(x)} {_text(y)}" for x, y in points), class_=class_)


def dots(x: np.ndarray, y: np.ndarray, class_: str) -> Markup:
    """Many dots as one path; how large they are is the stroke's width in the style."""
    return tag("path", d="".join(f"M{_text(a)} {_text(b)}h0" for a, b in zip(x, y, strict=True)), class_=class_)


def squares(x: np.ndarray, y: np.ndarray, side: np.ndarray, class_: str) -> Markup:
    """Many squares as one path. x, y: upper left corners."""
    each = zip(x, y, side, strict=True)
    d = "".join(f"M{_text(a)} {_text(b)}h{_text(s)}v{_text(s)}h{_text(-s)}z" for a, b, s in each)
    return tag("path", d=d, class_=class_)


def _text(value: object) -> str:
    if isinstance(value, float | np.floating):
        shown = f"{value:.1f}"
        return shown.removesuffix(".0") if shown != "-0.0" else "0"
    return str(value)
