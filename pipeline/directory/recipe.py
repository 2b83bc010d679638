"""What a step is made from. Equal recipes give equal bytes; a changed recipe is refused by name."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.plan import Step
from stages.registry import KINDS

if TYPE_CHECKING:  # `status` needs the names here and not what sections are made of
    from data.section import Section

Recipe = dict[str, Any]
_WORD = re.compile(r"[A-Za-z_/][\w./-]*")


class _Absent:
    def __str__(self) -> str:
        return "absent"


_ABSENT = _Absent()


class Science(Protocol):
    """What a recipe needs of a configuration."""

    @property
    def rounds(self) -> int:
        """See plan.HasRounds."""

    @property
    def seed(self) -> int:
        """Of the chain."""

    def section_of(self, step: Step) -> "Section":
        """The section that configures this step, overrides of its round applied."""


def recipe(step: Step, config: Science, digests: Mapping[str, str]) -> Recipe:
    """`digests`: role -> content digest of each input (see `data.files.sealed`), the reviews that hold among them."""
    return {
        "kind": step.kind,
        "version": KINDS[step.kind].version,
        "seed": config.seed,
        "section": config.section_of(step).recipe(),
        "inputs": dict(digests),
    }


def differences(before: Recipe, after: Recipe, section: str) -> dict[str, tuple[Any, Any]]:
    """Dotted key -> (before, after), keys named as in the configuration: `select.tau`. A key not there is `absent`.

    A key that is null on one side and absent on the other is left out, for both mean the same, unless nothing else
    differs: recipes that are not equal have a difference.
    """
    old, new = flat(_named(before, section)), flat(_named(after, section))
    pairs = {key: (old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in sorted({*old, *new})}
    found = {key: (was, now) for key, (was, now) in pairs.items() if was != now}
    told = {key: pair for key, pair in found.items() if not all(value in (None, _ABSENT) for value in pair)}
    return told or found


def shown(changes: Mapping[str, tuple[Any, Any]], most: int = 3) -> str:
    """`select.tau: 0.8 -> 0.7, seed: 0 -> 1 and 2 more`."""
    parts = [f"{key}: {_short(old)} -> {_short(new)}" for key, (old, new) in list(changes.items())[:most]]
    more = len(changes) - most
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists -> {dotted key: scalar}. An empty mapping or list is a value."""
    items = (
        value.items()
        if isinstance(value, Mapping)
        else ((str(i), item) for i, item in enumerate(value))
        if isinstance(value, list)
        else ()
    )
    leaves: dict[str, Any] = {}
    for key, item in items:
        leaves |= flat(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves or ({prefix: value} if prefix else {})


def settings(before: Any, after: Any, key: str = "") -> list[str]:
    """What `--set` has to say to turn one plain configuration into the other: ["student.steps=30"]."""
    if before == after and type(before) is type(after):
        return []
    if isinstance(before, dict) and isinstance(after, dict) and (not key or before.keys() <= after.keys()):
        return [
            text
            for name in after
            for text in settings(before.get(name, _ABSENT), after[name], f"{key}.{name}".strip("."))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [text for i, item in enumerate(after) for text in settings(before[i], item, f"{key}.{i}")]
    plain = isinstance(after, str) and _WORD.fullmatch(after) and after.lower() not in ("true", "false", "null")
    return [f"{key}={after if plain else json.dumps(after, ensure_ascii=False)}"]


def _named(recipe: Recipe, section: str) -> Recipe:
    return {section if key == "section" else key: value for key, value in recipe.items()}


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text[:19] if text.startswith("sha256:") else text
