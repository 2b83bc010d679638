"""`plan`: every step, whether it would run, and what is known of its time and size."""

from data.errors import ChainError
from pipeline.directory import ledger
from pipeline.directory.kind import refuse_other
from pipeline.directory.layout import Layout
from pipeline.directory.recipe import Science
from pipeline.directory.rundir import RunDir
from pipeline.plan import STORE, Step, course, plan
from pipeline.views.text_table import duration, size, table

ENDS = ("select", "promote")  # kinds after which a chain may end early


def plan_view(config: Science, layout: Layout | None) -> list[str]:
    """Lines for people; `layout` is the run directory to compare with, if one is named. Reads no source.

    Raises ChainError (78) where `run` would begin nothing: something else is there.
    """
    if layout is None:
        steps, rundir = plan(config), None
    else:
        refuse_other(layout)
        rundir = RunDir(layout, config)
        steps = list(course(config, rundir.stopped))
    spent = ledger.seconds(layout.ledger) if layout else {}
    rows, may_end, left, unknown = [], False, 0.0, False
    for step in steps:
        state = _state(step, rundir, may_end)
        if state.startswith("would run"):
            may_end = may_end or step.kind in ENDS
            estimate = _estimate(step, [one for one in steps if one.address in spent], spent)
            left, unknown = left + (estimate or 0), unknown or estimate is None
            time = f"about {duration(estimate)}" if estimate is not None else ""
        else:
            time = duration(spent[step.address]) if step.address in spent else ""
        rows.append([step.address, step.kind, time, _disk(step, layout), state])
    lines = table(["step", "kind", "time", "disk", "state"], rows, left=(0, 1, 4))
    if layout is not None:
        planned = {step.address for step in steps}
        lines += [
            f"  {address} stands, but is no step of this chain: refused"
            for address in layout.standing()
            if address not in planned
        ]
    if any(row[-1].startswith("would run") for row in rows) and left:
        lines.append(f"about {duration(left)} to go" + (", and what is not known yet" if unknown else ""))
    if layout is not None and layout.stands(STORE):  # listing a large pool takes minutes, which a plan should not
        lines.append(f"whether the sources changed since {STORE} was made is not looked at here; `run` refuses if so")
    return lines


def _state(step: Step, rundir: RunDir | None, may_end: bool) -> str:
    if rundir is not None and rundir.layout.stands(step.address):
        try:
            rundir.matching(step)
        except ChainError as error:
            return f"refused: {error.what}"
        return "done"
    return "would run; may stop before" if may_end and step.address != "final" else "would run"


def _estimate(step: Step, finished: list[Step], spent: dict[str, float]) -> float | None:
    """Seconds of the last finished step of its kind and section; a first student is guessed from the first teacher."""
    same = [one for one in finished if (one.kind, one.section) == (step.kind, step.section)]
    same = same or [one for one in finished if one.kind == step.kind == "train"]
    return spent[same[-1].address] if same else None


def _disk(step: Step, layout: Layout | None) -> str:
    if layout is None or not layout.stands(step.address):
        return ""
    return size(sum(path.stat().st_size for path in layout.place(step.address).rglob("*") if path.is_file()))
