"""Figures of the page that are figures of `inspect --json`, each written with its JSON pointer (RFC 6901)."""

from typing import Any

from markupsafe import Markup

from pipeline.report.cards import said
from pipeline.views.text_table import area, count, percent


def pointer(name: str) -> str:
    """One step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def resolved(document: Any, path: str) -> Any:
    """The value at a JSON pointer; None where there is none."""
    for step in path.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def shown(value: Any, kind: str) -> str:
    """As the page has it. kind: count, percent, number, area, text."""
    if value is None:
        return "-"
    match kind:
        case "count":
            return count(value)
        case "percent":
            return percent(value)
        case "number":
            return f"{value:.2f}"
        case "area":
            return area(value)
    return said(str(value), 400)


def fact(document: Any, path: str, kind: str) -> Markup:
    """A figure with where it comes from."""
    text = shown(resolved(document, path), kind)
    return Markup('<span data-fact="{}" data-kind="{}">{}</span>').format(path, kind, text)
