"""overview.html: every thumbnail and the table on one page that needs nothing else."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from data.files.atomic import write_bytes
from data.prepared import THUMBNAIL
from data.printable import printable
from pipeline.directory.prepared import PreparedLayout
from pipeline.prepare.page import STYLE, TEMPLATE
from pipeline.prepare.rows import Cell, Row, cells, columns
from pipeline.views.web_page import file_bytes, rendered

if TYPE_CHECKING:
    from stages.prepare.previews import Previews


def write_overview(layout: PreparedLayout, title: str, words: str, rows: Sequence[Row], previews: "Previews") -> None:
    """Write the page; below 20 MB for up to some 15,000 units, because previews share a budget."""
    good = [row for row in rows if row.good]
    small = previews.of([layout.unit(row.name) / THUMBNAIL for row in good])
    images = {row.name: image for row, image in zip(good, small, strict=True)}
    write_bytes(layout.overview, file_bytes(page(title, words, rows, images)))


def page(title: str, words: str, rows: Sequence[Row], images: dict[str, bytes | None]) -> str:
    """The page as HTML. images: name of a unit -> JPEG."""
    head = columns(rows)
    return rendered(
        printable(title),
        STYLE,
        TEMPLATE,
        words=printable(words),
        cards=[_card(row, images.get(row.name)) for row in rows],
        head=[printable(name) for name in head],
        rows=[{"failed": row.status == "failed", "cells": [_shown(cell) for cell in cells(row, head)]} for row in rows],
    )


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
