"""What became of each unit, as tables show it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.errors import ChainError

HEAD = ("unit", "name", "status", "patches", "quarantined", "seconds")
TAIL = "reason"

Cell = str | float | int | bool | None


@dataclass(frozen=True)
class Row:
    """One unit. status: to do, done (made by this start), skipped (it stood), failed. seconds: of its making."""

    name: str
    shown: str
    status: str
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    reason: str = ""

    @property
    def good(self) -> bool:
        """Whether it stands."""
        return self.status in ("done", "skipped")


def reason_of(shown: str, error: ChainError) -> str:
    """What and why, beside the name of the unit: where the message begins with that name, without it."""
    what = error.what.removeprefix(shown).lstrip(": ")
    return f"{what}: {error.why}" if what else error.why


def named(shown: str, reason: str) -> str:
    """The reason as a line of its own, which names its unit once."""
    return reason if shown in reason else f"{shown}: {reason}"


def drawn_in_vain(rows: Sequence[Row]) -> list[str]:
    """Classes of which people drew regions and that no patch of these units has, sorted."""
    return without_patch({label for row in rows for label in row.facts.get("annotations", {}).get("regions", {})}, rows)


def without_patch(labels: Iterable[str], rows: Sequence[Row]) -> list[str]:
    """Those labels that no patch of these units has, sorted."""
    return sorted(set(labels) - {label for row in rows for label in row.facts.get("labels", {})})


def columns(rows: Sequence[Row]) -> list[str]:
    """The head of a table: what every unit has, then all facts there are, then the reason of failure."""
    facts = dict.fromkeys(name for row in rows for name in sorted(row.facts) if name not in HEAD and name != TAIL)
    return [*HEAD, *sorted(facts), TAIL]


def cells(row: Row, head: Sequence[str]) -> list[Cell]:
    """The row under this head; None where it has nothing."""
    own: dict[str, Any] = {
        **row.facts,
        "unit": row.shown,
        "name": row.name,
        "status": row.status,
        "seconds": None if row.seconds is None else round(row.seconds, 1),
        TAIL: row.reason,
    }
    return [_cell(own.get(name)) for name in head]


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list) and all(isinstance(item, int | float) for item in value):
        return " x ".join(f"{item:g}" for item in value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    if isinstance(value, dict) and all(isinstance(item, str | int | float) for item in value.values()):
        return "; ".join(f"{name}: {item}" for name, item in sorted(value.items()))
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
