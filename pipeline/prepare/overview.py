"""overview.html: every thumbnail and the table on one page that needs nothing else."""

import base64
import functools
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from data.atomic import write_bytes
from data.prepared import THUMBNAIL
from data.printable import printable
from pipeline.prepare.layout import PreparedLayout
from pipeline.prepare.page import STYLE, TEMPLATE
from pipeline.prepare.rows import Cell, Row, cells, columns

if TYPE_CHECKING:
    import jinja2

    from stages.prepare.previews import Previews


def write_overview(layout: PreparedLayout, title: str, words: str, rows: Sequence[Row], previews: "Previews") -> None:
    """Write the page; below 20 MB for up to some 15,000 units, because previews share a budget."""
    good = [row for row in rows if row.good]
    small = previews.of([layout.unit(row.name) / THUMBNAIL for row in good])
    images = {row.name: image for row, image in zip(good, small, strict=True)}
    write_bytes(layout.overview, page(title, words, rows, images).encode("utf-8", "backslashreplace"))


def page(title: str, words: str, rows: Sequence[Row], images: dict[str, bytes | None]) -> str:
    """The page as HTML. images: name of a unit -> JPEG."""
    from markupsafe import Markup

    head = columns(rows)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return _template().render(
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        title=printable(title),
        words=printable(words),
        style=Markup(STYLE),  # noqa: S704 our own text
        cards=[_card(row, images.get(row.name)) for row in rows],
        head=[printable(name) for name in head],
        rows=[{"failed": row.status == "failed", "cells": [_shown(cell) for cell in cells(row, head)]} for row in rows],
    )


@functools.cache
def _template() -> "jinja2.Template":
    import jinja2

    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(TEMPLATE)


def _card(row: Row, image: bytes | None) -> dict[str, Any]:
    if row.good:
        words = f"{row.facts.get('patches', 0):,} patches"
        if lost := row.facts.get("quarantined"):
            words += f", {lost:,} in quarantine"
    else:
        words = printable(row.reason) if row.status == "failed" else row.status
    return {
        "name": printable(row.shown),
        "words": words,
        "failed": row.status == "failed",
        "image": base64.b64encode(image).decode() if image else "",
    }


def _shown(cell: Cell) -> dict[str, str]:
    if cell is None:
        return {"kind": "", "text": ""}
    if isinstance(cell, bool):
        return {"kind": "", "text": "yes" if cell else "no"}
    if isinstance(cell, int | float):
        return {"kind": "number", "text": f"{cell:,}" if isinstance(cell, int) else f"{cell:,.5g}"}
    return {"kind": "wide" if len(cell) > 40 else "", "text": printable(cell)}
