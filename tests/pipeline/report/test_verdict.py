"""Did it work? Every model is listed once, and a first teacher that no student replaced is said to be the model."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.fake_run import Shape, fake_run
from data.errors import ChainError, ExitCode
from data.splits.written import LABELLED, TEST, VALIDATION
from pipeline.directory.layout import Layout
from pipeline.report.run import Run
from pipeline.report.verdict import verdict


@pytest.fixture
def run(tmp_path: Path) -> Layout:
    return fake_run(tmp_path / "run", Shape(30, {LABELLED: 12, VALIDATION: 20, TEST: 6}, slides=3, rounds=2))


def stayed(layout: Layout, address: str, teacher: str) -> None:
    """As if the teacher of the round before had won here."""
    shutil.rmtree(layout.place(address))
    shutil.copytree(layout.place(teacher), layout.place(address))
    (layout.place(address) / "promotion.json").write_text(json.dumps({"winner": "teacher", "reason": "worse"}))


def listed(layout: Layout) -> list[tuple[str, int, str]]:
    return [(model.name, model.after, model.address) for model in verdict(Run.open(layout), None).models]


def test_every_model_of_a_chain_whose_students_won_is_listed(run: Layout) -> None:
    assert listed(run) == [
        ("labels only", 0, "rounds/00/teacher"),
        ("after round 0", 1, "rounds/01/teacher"),
        ("final model", 2, "final"),
    ]


def test_a_teacher_that_stayed_in_the_last_round_is_the_final_model_and_listed_once(run: Layout) -> None:
    stayed(run, "final", "rounds/01/teacher")
    assert listed(run) == [("labels only", 0, "rounds/00/teacher"), ("final model", 1, "final")]


@pytest.mark.parametrize(
    ("gone", "why"),
    [
        (("rounds/01/student",), "no student passed"),
        (("rounds/01/student", "rounds/00/student"), "no student was trained"),
    ],
)
def test_a_first_teacher_that_no_student_replaced_is_said_to_be_the_model(
    run: Layout, gone: tuple[str, ...], why: str
) -> None:
    stayed(run, "rounds/01/teacher", "rounds/00/teacher")
    stayed(run, "final", "rounds/00/teacher")
    for address in ("rounds/01/predict", "rounds/01/select", *gone):
        shutil.rmtree(run.place(address))
    judged = verdict(Run.open(run), None)
    assert [(model.name, model.after) for model in judged.models] == [("labels only", 0)]
    assert judged.kind == "none"
    assert judged.sentence.startswith(f"The first teacher is the model, since {why}: validation balanced accuracy ")
    assert "not shown" not in judged.sentence


def test_before_the_chain_has_ended_nothing_is_said_of_a_final_model(run: Layout) -> None:
    for address in ("rounds/00/student", "rounds/01/teacher", "rounds/01/predict", "rounds/01/select", "final"):
        shutil.rmtree(run.place(address))
    assert listed(run) == [("labels only", 0, "rounds/00/teacher")]
    assert verdict(Run.open(run), None).sentence.startswith("Labels only so far")


@pytest.mark.parametrize("address", ["rounds/00/teacher", "final"])
def test_what_a_model_says_of_validation_and_is_gone_is_named(run: Layout, address: str) -> None:
    (run.place(address) / "validation.h5").unlink()
    with pytest.raises(ChainError, match=f"{address}/validation.h5 is missing") as caught:
        verdict(Run.open(run), None)
    assert caught.value.code == ExitCode.DAMAGED
    assert run.rerun(address) in caught.value.todo
