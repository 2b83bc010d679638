"""`status`: where a run stands, from directories and small JSON files alone. Imports nothing heavy, decides nothing."""

from dataclasses import dataclass

from data.errors import ChainError, ExitCode
from pipeline.config.yaml_text import read_yaml
from pipeline.directory import ledger, lock
from pipeline.directory.kind import refuse_no_run
from pipeline.directory.layout import Layout, command
from pipeline.directory.record import Stop, read_record, stop_of
from pipeline.plan import FINAL, Step, course
from pipeline.views.how_far import how_far
from pipeline.views.text_table import duration


@dataclass(frozen=True)
class Rounds:
    """All that the plan needs of a configuration; reading the rest would import the stages' sections."""

    rounds: int


def rounds_of(layout: Layout) -> Rounds:
    """From the run's config.yaml. Raises ChainError (66, 78) when this is no run directory."""
    refuse_no_run(layout)
    value = read_yaml(layout.config).value
    rounds = value.get("rounds") if isinstance(value, dict) else None
    if not isinstance(rounds, int) or isinstance(rounds, bool) or not 0 <= rounds <= 99:
        raise ChainError(
            f"{layout.config}: rounds is not a number from 0 to 99",
            "the program writes this file, and something else changed it",
            f"run the original configuration again: {command('run', 'CONFIG', layout.root)}",
            ExitCode.MISMATCH,
        )
    return Rounds(rounds)


def stopped_at(layout: Layout) -> Stop | None:
    """Why the chain ended, None while it has not."""
    rounds = rounds_of(layout)
    if not layout.stands(FINAL):
        return None
    for step in course(rounds, lambda address: stop_at(layout, address) is not None):
        if stop := stop_at(layout, step.address):
            return stop
    return all_rounds(rounds.rounds)


def all_rounds(rounds: int) -> Stop:
    """The stop of a chain that nothing ended early."""
    return Stop("max_rounds", f"{rounds} of {rounds} rounds were run")


def stop_at(layout: Layout, address: str) -> Stop | None:
    """The stop declared by a step in place."""
    return stop_of(layout.place(address)) if layout.stands(address) else None


def status(layout: Layout) -> list[str]:
    """Lines for people."""
    steps = list(course(rounds_of(layout), lambda address: stop_at(layout, address) is not None))
    holder = lock.holder(layout.lock)
    running = holder is not None and (holder.alive or not holder.here)
    spent = ledger.seconds(layout.ledger)
    states = [_state(layout, step, running, spent) for step in steps]
    whole = all(state == "done" for state, _ in states)
    lines = [f"{layout.root}: {_headline(layout, holder, running, whole)}"]
    for step, (state, detail) in zip(steps, states, strict=True):
        lines.append(f"  {state:<11}{step.address:<20}{detail}".rstrip())
    if stop := stopped_at(layout):
        lines.append(f"stopped: {stop.reason} ({stop.detail})")
    if layout.quarantine.is_file():
        lines.append(f"patches that could not be used: {layout.quarantine}")
    return lines


def _headline(layout: Layout, holder: lock.Holder | None, running: bool, whole: bool) -> str:
    if holder is not None and running:
        return f"in use by {holder}"
    if layout.stands(FINAL):
        return "finished" if whole else "finished once, but no longer whole (see `verify`)"
    return f"not running; {holder} died" if holder is not None else "not running"


def _state(layout: Layout, step: Step, running: bool, spent: dict[str, float]) -> tuple[str, str]:
    if layout.stands(step.address):
        try:
            record = read_record(layout.place(step.address), step.address, layout)
        except ChainError as error:
            return "refused", error.what
        if lost := [name for name in sorted(record.files) if not (layout.place(step.address) / name).is_file()]:
            return "damaged", f"{lost[0]} is missing"
        return "done", duration(spent[step.address]) if step.address in spent else ""
    staging = layout.staging(step.address)
    if not staging.exists():
        return "to do", ""
    return "running" if running else "unfinished", how_far(staging / "work", step.address)
