from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan import FINAL, course, finish, plan, running_order
from pipeline.views.status import Rounds
from stages.registry import KINDS

rounds = st.integers(0, 99).map(Rounds)


@given(rounds)
def test_every_step_comes_after_what_it_is_made_from(config: Rounds) -> None:
    seen: set[str] = set()
    for step in plan(config):
        assert set(step.inputs.values()) <= seen
        assert step.address not in seen
        assert step.kind in KINDS
        seen.add(step.address)
    assert plan(config)[-1].address == FINAL


@given(rounds)
def test_addresses_sort_in_the_order_of_running(config: Rounds) -> None:
    addresses = [step.address for step in plan(config)]
    assert sorted(addresses, key=running_order) == addresses


@given(rounds)
def test_every_round_has_the_same_four_directories(config: Rounds) -> None:
    names = [step.address.split("/")[2] for step in plan(config) if step.address.startswith("rounds/")]
    assert names == (["teacher", "predict", "select", "student"] * config.rounds or ["teacher"])


def test_zero_rounds_is_the_supervised_model() -> None:
    assert [step.address for step in plan(Rounds(0))] == ["data/store", "data/splits", "rounds/00/teacher", FINAL]
    assert plan(Rounds(0))[-1].inputs == {"teacher": "rounds/00/teacher"}


def test_every_later_teacher_is_the_promotion_of_the_student_before() -> None:
    """Of a student that stands against its teacher, and, where that is another, against the first one."""
    by_address = {step.address: step for step in plan(Rounds(3))}
    assert by_address["rounds/00/teacher"].kind == "train"
    for number in (1, 2, 3):
        step = by_address[f"rounds/{number:02d}/teacher" if number < 3 else FINAL]
        before = f"rounds/{number - 1:02d}"
        expected = {"teacher": f"{before}/teacher", "student": f"{before}/student"}
        assert step.kind == "promote"
        assert step.inputs == expected | ({"first": "rounds/00/teacher"} if number > 1 else {})


def test_only_selections_look_at_the_round_before() -> None:
    for step in plan(Rounds(3)):
        previous = {role for role in step.inputs if role.startswith("previous")}
        expected = {"previous", "previous_predict"} if step.kind == "select" and step.round else set()
        assert previous == expected


@given(st.integers(1, 20), st.data())
def test_a_stop_ends_the_course_with_the_teacher_of_its_round(n: int, data: st.DataObject) -> None:
    config = Rounds(n)
    at = data.draw(
        st.sampled_from([step for step in plan(config) if step.round < n and step.kind in ("select", "promote")])
    )
    steps = list(course(config, lambda address: address == at.address))
    assert steps[:-1] == plan(config)[: len(steps) - 1]
    assert steps[-2] == at
    assert steps[-1] == finish(config, at)
    assert steps[-1].inputs == {"teacher": f"rounds/{at.round:02d}/teacher"}
    assert set(steps[-1].inputs.values()) <= {step.address for step in steps}
