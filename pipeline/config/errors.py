"""pydantic's findings in the user's words: file, line and key; what was expected; the nearest known key."""

import difflib
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from data.errors import ChainError, ExitCode
from pipeline.config.overrides import Source
from pipeline.config.yaml_text import Place

EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "keys and values",
    "model": "keys and values",
    "path": "a path",
    "none": "null",
}
BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
}


class _Finding:
    """One error with its place in the user's file (the names of union branches taken out)."""

    def __init__(self, error: ErrorDetails, source: Source, prefix: Place) -> None:
        self.type = error["type"]
        self.context: dict[str, Any] = error.get("ctx", {})
        self.message = error["msg"]
        self.place = _place(error, source, prefix)
        self.line = source.where(self.place)
        self.given = source.get(self.place)

    @property
    def key(self) -> str:
        return ".".join(self.place)

    @property
    def rank(self) -> int:
        """A misspelled key also leaves its right spelling missing: the misspelling is the news."""
        return {"extra_forbidden": 0, "missing": 2, "union_tag_not_found": 2}.get(self.type, 1)


def refusal(error: ValidationError, root: Any, source: Source, prefix: Place = ()) -> ChainError:
    """The first finding as a ChainError (78), with the number of the others. `root`: the type at `prefix`."""
    types_ = _Types(root, source, len(prefix))
    findings = [_Finding(detail, source, prefix) for detail in error.errors(include_url=False)]
    findings = _without_other_branches(findings, types_) or findings
    order = list(source.origin)
    findings.sort(key=lambda f: (f.rank, _order(order, f.place)))
    first = findings[0]
    same = [f for f in findings if f.place == first.place]
    what, why, todo = _words(first, same, types_)
    others = len({f.place for f in findings}) - 1
    more = f" (and {others} more)" if others else ""
    # a check of several sections together has no key of its own: what it says names them
    place = f"{first.line}: {first.key}" if first.key else str(first.line).partition(" line ")[0]
    return ChainError(f"{place}: {what}{more}", why, todo, ExitCode.MISMATCH)


class _Types:
    """Which sections may stand at a place. Of a union, members of another `kind` or `rule` do not count."""

    def __init__(self, root: Any, source: Source, skip: int) -> None:
        self.root, self.source, self.skip = root, source, skip

    def keys(self, place: Place) -> list[str]:
        """Keys known at a place; of a union, the keys of all members that may be meant."""
        return sorted({name for model in self.models(place) for name in model.model_fields})

    def models(self, place: Place) -> list[type[BaseModel]]:
        candidates = [self.root]
        for depth in range(self.skip, len(place)):
            around = self.source.get(place[:depth])
            candidates = [inner for one in candidates for inner in _step(one, place[depth], around)]
        return [model for one in candidates for model in _models(one, self.source.get(place))]


def _words(first: _Finding, same: list[_Finding], types_: _Types) -> tuple[str, str, str]:
    kind = first.type
    given = _given(first.given)
    if kind == "extra_forbidden":
        return _unknown_key(first, types_.keys(first.place[:-1]))
    if kind == "missing":
        return "missing", "this key has no default", f"add {first.key}"
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        bound = f"{words} {first.context[name]}"
        return "out of range", f"it must be {bound}, given {given}", f"use a value {bound}"
    if kind in ("literal_error", "union_tag_invalid", "enum"):
        return _unknown_value(first, same, given)
    if kind == "union_tag_not_found":
        tag = str(first.context.get("discriminator", "")).strip("'")
        return f"{tag} is missing", f"`{tag}` says which one this is", f"add {first.key}.{tag}"
    if kind == "value_error":
        return (
            "not allowed",
            str(first.context.get("error", first.message)),
            "correct this key" if first.key else "correct what is named",
        )
    if kind.endswith(("_type", "_parsing", "_from_float", "_required")):
        expected = " or ".join(dict.fromkeys(_expected(f) for f in same))
        return "wrong type", f"expected {expected}, given {given}", f"write {expected}"
    return "not allowed", f"{first.message}, given {given}", "correct the value"


def _unknown_key(first: _Finding, known: list[str]) -> tuple[str, str, str]:
    key, parent = first.place[-1], ".".join(first.place[:-1])
    if key in known:
        todo = (
            f"keep one of them; --set '{parent}={{{key}: ...}}' takes the place of all"
            if parent
            else "keep one of them"
        )
        return "does not go with the keys beside it", "these keys exclude each other", todo
    near = difflib.get_close_matches(key, known, 1, 0.6)
    return (
        "unknown key",
        f"{parent or 'a configuration'} has the keys {', '.join(known)}",
        f"did you mean {'.'.join((*first.place[:-1], near[0]))}?" if near else "remove it, or use one of these",
    )


def _unknown_value(first: _Finding, same: list[_Finding], given: str) -> tuple[str, str, str]:
    tag = str(first.context.get("discriminator", "")).strip("'")
    raw = str(first.context.get("tag", "")) if tag else str(first.given)
    expected = " or ".join(dict.fromkeys(_expected(f) for f in same))
    near = difflib.get_close_matches(raw, re.findall(r"'([^']*)'", expected), 1, 0.5)
    return (
        f"unknown value {raw!r}" if tag else f"unknown value {given}",
        f"expected {expected}",
        f"did you mean {near[0]}?" if near else "use one of these",
    )


def _expected(finding: _Finding) -> str:
    if finding.type in ("literal_error", "enum", "union_tag_invalid"):
        return str(finding.context.get("expected", finding.context.get("expected_tags")))
    return EXPECTED.get(finding.type.split("_")[0], finding.message)


def _given(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:37] + "...") + " (text)" * (len(value) > 0)
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "keys and values"
    return "nothing" if value is None else str(value)


def _place(error: ErrorDetails, source: Source, prefix: Place) -> Place:
    place = prefix
    for i, part in enumerate(error["loc"]):
        inner = (*place, str(part))
        last_is_absent = error["type"] == "missing" and i == len(error["loc"]) - 1
        if last_is_absent or source.has(inner):
            place = inner
    if error["type"] == "union_tag_invalid":
        place = (*place, str(error["ctx"]["discriminator"]).strip("'"))
    return place


def _order(origins: list[Place], place: Place) -> int:
    while place and place not in origins:
        place = place[:-1]
    return origins.index(place) if place in origins else 0


def _without_other_branches(findings: list[_Finding], types_: _Types) -> list[_Finding]:
    """Of a value that fits no member of a union, keep what the member that was meant has to say."""
    said = {f.place[:depth] for f in findings if f.type != "extra_forbidden" for depth in range(len(f.place))}
    kept = [
        f
        for f in findings
        if f.type != "extra_forbidden" or f.place[-1] not in types_.keys(f.place[:-1]) or f.place[:-1] not in said
    ]
    kept = [
        f for f in kept if not any(len(g.place) > len(f.place) and g.place[: len(f.place)] == f.place for g in kept)
    ]
    inside = {f.place[:-1] for f in kept if f.type != "missing"}
    return [
        f for f in kept if f.type != "missing" or f.place[:-1] not in inside or len(types_.models(f.place[:-1])) == 1
    ]


def _step(annotation: Any, key: str, around: Any) -> Iterator[Any]:
    for model in _models(annotation, around):
        if key in model.model_fields:
            yield model.model_fields[key].annotation
    for member in _members(annotation):
        origin, args = get_origin(member), get_args(member)
        if origin in (list, tuple) and key.isdecimal():
            yield from args[:1]
        elif origin is dict:
            yield args[1]


def _models(annotation: Any, given: Any) -> Iterator[type[BaseModel]]:
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel) and not _is_another(member, given):
            yield member


def _is_another(model: type[BaseModel], given: Any) -> bool:
    if not isinstance(given, dict):
        return False
    return any(
        get_origin(field.annotation) is Literal
        and len(get_args(field.annotation)) == 1
        and name in given
        and given[name] not in get_args(field.annotation)
        for name, field in model.model_fields.items()
    )


def _members(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    elif origin is not Literal:
        yield annotation
