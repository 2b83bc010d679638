"""What a review will do: the first step that honours it, or the commands that make finished steps honour it.

A patch of the pool that was reviewed changes what a round decides: its scores stay. A label was given to the first
teacher as well, and only that teacher, made again, forgets it: everything that was ever scored comes from it.
"""

from collections.abc import Sequence

from pipeline.directory import ledger
from pipeline.directory.layout import Layout
from pipeline.plan import FINAL, Step, at, course, running_order
from pipeline.views.status import rounds_of, stop_at
from pipeline.views.text_table import duration


def outlook(layout: Layout, start: str, rounds: Sequence[int]) -> list[str]:
    """For people. start: from where the review would hold; rounds: of which its patches were exported."""
    steps = list(course(rounds_of(layout), lambda address: stop_at(layout, address) is not None))
    done = [step for step in steps if layout.stands(step.address)]
    if any(step.address == start for step in steps):
        lines = [f"honoured from round {int(start.split('/')[1])} on: {start} and what follows"]
    else:
        why = "the chain has ended" if layout.stands(FINAL) else "the last round has begun"
        lines = [f"{why}: no step to come would honour these labels"]
    selected = [step.round for step in done if step.kind == "select"]
    # scores are facts of the teacher: what is decided from them is what changes
    for address in sorted({at(number, "select") for number in selected if number in (*rounds, selected[-1])}):
        lines.append(
            f"to have round {int(address.split('/')[1])} honour them as well: {_command(layout, done, address)}"
        )
    if layout.stands(first := at(0, "teacher")):
        lines.append(f"to have the first teacher learn them, and all that follows: {_command(layout, done, first)}")
    return lines


def _command(layout: Layout, done: Sequence[Step], address: str) -> str:
    again = [step for step in done if running_order(step.address) >= running_order(address)]
    steps = f"{len(again)} finished step{'s' * (len(again) > 1)} again{_time(layout, again)}"
    return f"{layout.rerun(address)}  ({steps})"


def _time(layout: Layout, steps: Sequence[Step]) -> str:
    spent = ledger.seconds(layout.ledger)
    known = [spent[step.address] for step in steps if step.address in spent]
    return f", about {duration(sum(known))}" if len(known) == len(steps) else ""
