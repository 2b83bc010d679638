"""`verify`: every byte of every committed file, and that each step was made from what stands beside it."""

from collections.abc import Iterator

from data.errors import ChainError, ExitCode
from data.splits.review_words import ROLE
from pipeline.config.seal import seal_holds
from pipeline.directory.layout import Layout, command
from pipeline.directory.record import Record, damaged, faults, read_record
from pipeline.directory.reviews import addresses, digest_of, inputs_at
from pipeline.plan import Step, course
from pipeline.views.status import rounds_of, stop_at
from pipeline.views.text_table import size


def verify(layout: Layout) -> Iterator[str]:
    """A line for each step that is whole. Raises ChainError (76) at the end, naming the first damaged file.

    The first in the order of running: making that step again makes every later one again as well.
    """
    rounds, found = rounds_of(layout), list[ChainError]()
    if not seal_holds(layout.config.read_text(encoding="utf-8", errors="replace")):
        found.append(_changed_config(layout))
    records: dict[str, Record] = {}
    gaps: list[str] = []
    for step in course(rounds, lambda address: stop_at(layout, address) is not None):
        if not layout.stands(step.address):
            gaps.append(step.address)
            continue
        if gaps:  # what stands after a gap was made from what is gone
            found.append(damaged(layout, gaps[0], f"{gaps[0]} is missing, and {step.address} was made after it"))
            gaps = []
        try:
            record = records[step.address] = read_record(layout.place(step.address), step.address, layout)
        except ChainError as error:
            found.append(error)
            continue
        wrong = faults(layout.place(step.address), record) + _other_inputs(layout, step, record, records)
        if wrong:
            found += [damaged(layout, step.address, f"{step.address}/{fault}") for fault in wrong]
        else:
            total = sum(n_bytes for _, n_bytes in record.files.values())
            yield f"ok  {step.address:<20}{len(record.files)} files, {size(total)}"
    for address in addresses(layout):
        try:
            record = read_record(layout.place(address), address, layout)
        except ChainError as error:
            found.append(error)
            continue
        wrong = faults(layout.place(address), record)
        found += [damaged(layout, address, f"{address}/{fault}") for fault in wrong]
        if not wrong:
            yield f"ok  {address:<20}{len(record.files)} files"
    if found:
        first = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ChainError(first.what + more, first.why, first.todo, first.code)


def _changed_config(layout: Layout) -> ChainError:
    return ChainError(
        f"{layout.config.name} is not as it was written",
        "a byte of it was damaged, or somebody edited it",
        f"run the original configuration again: {command('run', 'CONFIG', layout.root)}",
        ExitCode.DAMAGED,
    )


def _other_inputs(layout: Layout, step: Step, record: Record, records: dict[str, Record]) -> list[str]:
    made_from = record.recipe.get("inputs", {})
    said = {role: digest_of(layout, address) for role, address in inputs_at(layout, step).items()}
    if said != {role: digest for role, digest in made_from.items() if role.startswith(ROLE)}:
        return ["stage.json: made from other reviews than hold at it"]
    return [
        f"stage.json: made from another {address}"
        for role, address in step.inputs.items()
        if address in records and made_from.get(role) != records[address].digest
    ]
