"""The whole chain on one page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


class HasRounds(Protocol):
    """All that the plan depends on."""

    @property
    def rounds(self) -> int:
        """How many rounds of predict, select and student; 0: the first teacher is the result."""


@dataclass(frozen=True)
class Step:
    """One stage at one place. `inputs`: role -> address of the step whose directory is handed in."""

    address: str
    kind: str
    section: str  # of the configuration
    inputs: dict[str, str]
    round: int

    @property
    def name(self) -> str:
        """The last part of the address: store, splits, teacher, predict, select, student or final."""
        return self.address.rpartition("/")[2]


STORE, SPLITS, FINAL = "data/store", "data/splits", "final"


def plan(config: HasRounds) -> list[Step]:
    """Every step in the order of running. Each step's inputs stand before it."""
    given = {"store": STORE, "splits": SPLITS}
    first = at(0, "teacher")
    steps = [
        Step(STORE, "ingest", "data", {}, 0),
        Step(SPLITS, "split", "splits", {"store": STORE}, 0),
        Step(first, "train", "teacher", given, 0),
    ]
    for r in range(config.rounds):
        teacher, predict, select, student = (at(r, name) for name in ("teacher", "predict", "select", "student"))
        before = {"previous": at(r - 1, "select"), "previous_predict": at(r - 1, "predict")} if r else {}
        if r > 1:
            before["first_predict"] = at(0, "predict")  # what never changes is made in the first round alone
        if r:
            steps.append(Step(teacher, "promote", "promote", _contest(r - 1), r))
        steps += [
            Step(predict, "predict", "predict", {"teacher": teacher, **given}, r),
            Step(select, "select", "select", {"predict": predict, **given, **before}, r),
            Step(student, "train", "student", {**given, "teacher": teacher, "select": select, "predict": predict}, r),
        ]
    last = config.rounds - 1
    steps.append(
        Step(FINAL, "promote", "promote", _contest(last) if config.rounds else {"teacher": first}, config.rounds)
    )
    return steps


def finish(config: HasRounds, stopped_at: Step) -> Step:
    """The final step of a chain that ends early: the teacher of that round is the result."""
    return Step(FINAL, "promote", "promote", {"teacher": at(stopped_at.round, "teacher")}, config.rounds)


def course(config: HasRounds, stopped: Callable[[str], bool]) -> Iterator[Step]:
    """The plan as it turns out. `stopped(address)` is asked after each step was worked on, so a stop ends it there."""
    for step in plan(config):
        yield step
        if step.address != FINAL and stopped(step.address):
            yield finish(config, step)
            return


def at(round: int, name: str) -> str:
    """`rounds/07/student`."""
    return f"rounds/{round:02d}/{name}"


def running_order(address: str) -> tuple[int, str, int]:
    """Sort key of addresses: the order in which a chain comes to them."""
    group, _, rest = address.partition("/")
    number, _, name = rest.rpartition("/")
    names = ("store", "splits", "teacher", "predict", "select", "student")
    return {"data": 0, "rounds": 1}.get(group, 2), number, names.index(name) if name in names else len(names)


def _contest(round: int) -> dict[str, str]:
    # small losses, none of which can be told from chance, may add up: the first teacher has a say to the end
    first = {"first": at(0, "teacher")} if round else {}
    return {"teacher": at(round, "teacher"), "student": at(round, "student"), **first}
