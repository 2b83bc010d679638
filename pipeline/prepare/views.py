"""`status` and `verify` of a prepared directory. They import nothing heavy and change nothing."""

import json
from collections.abc import Iterator
from typing import Any

from data.errors import ChainError
from data.prepared import FACTS, read_index
from data.printable import printable
from pipeline.directory import ledger, lock
from pipeline.directory.prepared import PreparedLayout, address
from pipeline.directory.record import damaged, faults, read_record
from pipeline.prepare.settings import kind_of
from pipeline.views.how_far import how_far
from pipeline.views.text_table import duration, size

SHOWN = 20


def status(layout: PreparedLayout) -> list[str]:
    """Lines for people: the state of the directory, what is in work, what failed last."""
    kind = kind_of(layout)
    holder = lock.holder(layout.lock)
    running = holder is not None and (holder.alive or not holder.here)
    names = layout.standing()
    patches = sum(int(_facts(layout, name).get("patches", 0)) for name in names)
    spent = ledger.seconds(layout.ledger)
    total = sum(spent.get(name, 0.0) for name in names)
    lines = [
        f"{layout.root}: {_headline(layout, holder, running)}",
        f"  {len(names):,}{_of(layout)} {printable(kind)} done, {patches:,} patches"
        + (f", {duration(total)} of work" if total else ""),
    ]
    work = sorted(path.name for path in layout.stagings.glob("[!.]*") if path.is_dir())
    lines += [f"  {'in work' if running else 'unfinished':<11}{printable(name)}" for name in work[:SHOWN]]
    if running and (text := how_far(layout.stagings / ".progress", "prepare")):
        lines.append(f"  {text}")
    failed = _failed(layout)
    lines += [f"  {'failed':<11}{printable(name)}: {printable(why)}" for name, why in list(failed.items())[:SHOWN]]
    if len(failed) > SHOWN:
        lines.append(f"  and {len(failed) - SHOWN:,} more that failed: see {layout.table}")
    if layout.overview.is_file():
        lines.append(f"overview: {layout.overview}   table: {layout.table}")
    return lines


def verify(layout: PreparedLayout) -> Iterator[str]:
    """A line for each unit whose every byte is as committed. Raises ChainError (76) at the end, naming the first."""
    found: list[ChainError] = []
    for name in layout.standing():
        where = address(name)
        try:
            record = read_record(layout.unit(name), where, layout)
        except ChainError as error:
            found.append(error)
            continue
        if wrong := faults(layout.unit(name), record):
            found += [damaged(layout, where, f"{where}/{fault}") for fault in wrong]
        else:
            total = sum(n_bytes for _, n_bytes in record.files.values())
            yield f"ok  {printable(name):<40}{len(record.files)} files, {size(total)}"
    if not found and layout.index.exists():
        try:
            units = read_index(layout.root)
        except ChainError as error:
            found.append(error)
        else:
            yield f"ok  {layout.index.name}: {len(units):,} units, {sum(unit.patches for unit in units):,} patches"
    if found:
        first = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ChainError(first.what + more, first.why, first.todo, first.code)


def _headline(layout: PreparedLayout, holder: lock.Holder | None, running: bool) -> str:
    if holder is not None and running:
        return f"in use by {holder}"
    if layout.index.exists():
        return "finished"
    return f"not finished; {holder} died" if holder is not None else "not finished"


def _last_start(layout: PreparedLayout) -> list[dict[str, Any]]:
    events = list(ledger.events(layout.ledger))
    starts = [i for i, event in enumerate(events) if event.get("event") == "start"]
    return events[starts[-1] :] if starts else []


def _of(layout: PreparedLayout) -> str:
    last = _last_start(layout)
    units = last[0].get("units") if last else None
    return f" of {units:,}" if isinstance(units, int) else ""


def _failed(layout: PreparedLayout) -> dict[str, str]:
    """Name -> reason of what failed in the last start. For people only: nothing is decided by it."""
    return {
        str(event.get("address")): str(event.get("error", ""))
        for event in _last_start(layout)
        if event.get("event") == "failed"
    }


def _facts(layout: PreparedLayout, name: str) -> dict[str, Any]:
    try:
        facts = json.loads((layout.unit(name) / FACTS).read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
