"""`--set key=value`: one value laid over the tree of a configuration file, and who said what, for messages."""

from dataclasses import dataclass, field
from typing import Any

from data.errors import ChainError, ExitCode
from pipeline.config.yaml_text import Place, parse


@dataclass(frozen=True)
class Override:
    """`text` as given; `place` and `value` as read."""

    text: str
    place: Place
    value: Any


@dataclass
class Source:
    """The plain tree of a configuration and the origin of each place: "configs/x.yaml line 12" or "--set a.b=1"."""

    tree: dict[str, Any]
    origin: dict[Place, str] = field(default_factory=dict)

    def where(self, place: Place) -> str:
        """Origin of a place, or of the nearest place around it."""
        while place and place not in self.origin:
            place = place[:-1]
        return self.origin.get(place, "configuration")

    def get(self, place: Place) -> Any:
        """The value at a place of the tree, None when there is none."""
        node: Any = self.tree
        for key in place:
            node = _child(node, key)
        return node

    def has(self, place: Place) -> bool:
        """Whether the tree gives this place."""
        parent = self.get(place[:-1])
        return place[-1] in parent if isinstance(parent, dict) else _child(parent, place[-1]) is not None

    def replace(self, place: Place, value: Any) -> None:
        """Put a value where the tree already gives one; places that only have a default stay as they are."""
        if self.has(place):
            parent = self.get(place[:-1])
            parent[int(place[-1]) if isinstance(parent, list) else place[-1]] = value


def override(text: str) -> Override:
    """Read `key.path=value`; the value is YAML (lists and mappings in brackets). Raises ChainError (2, 78)."""
    key, equals, value = text.partition("=")
    place = tuple(key.strip().split("."))
    if not equals or not all(place):
        raise ChainError(f"--set {text}", "expected key=value", "for example --set student.steps=300", ExitCode.USAGE)
    return Override(text, place, parse(value.encode(), f"--set {text}").value)


def apply(change: Override, source: Source) -> None:
    """Lay one override over the tree, in place. Raises ChainError (78) where there is nothing to set into."""
    node: Any = source.tree
    for depth, key in enumerate(change.place[:-1]):
        if isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
            source.origin[change.place[: depth + 1]] = f"--set {change.text}"
        node = _inner(node, key, change, depth)
    last = change.place[-1]
    if isinstance(node, list):
        node[_index(node, last, change)] = change.value
    elif isinstance(node, dict):
        node[last] = change.value
    else:
        raise _nothing_there(change, len(change.place) - 1)
    for place in [place for place in source.origin if place[: len(change.place)] == change.place]:
        del source.origin[place]
    source.origin[change.place] = f"--set {change.text}"


def _inner(node: Any, key: str, change: Override, depth: int) -> Any:
    if isinstance(node, dict):
        return node[key]
    if isinstance(node, list):
        return node[_index(node, key, change)]
    raise _nothing_there(change, depth)


def _index(items: list[Any], key: str, change: Override) -> int:
    if key.isdecimal() and int(key) < len(items):
        return int(key)
    raise ChainError(
        f"--set {change.text}: no item {key}",
        f"the list has {len(items)} items, counted from 0",
        "correct the number",
        ExitCode.MISMATCH,
    )


def _nothing_there(change: Override, depth: int) -> ChainError:
    return ChainError(
        f"--set {change.text}: {'.'.join(change.place[:depth])} has no keys",
        "it is a single value in the configuration",
        "set the whole value, in brackets where it has several keys",
        ExitCode.MISMATCH,
    )


def _child(node: Any, key: str) -> Any:
    if isinstance(node, dict):
        return node.get(key)
    if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
        return node[int(key)]
    return None
