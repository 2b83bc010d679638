"""Reviews as inputs of a chain: they hold from a step on, whatever is killed, resumed or made again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import ChainError, ExitCode
from data.splits.reviewed import Reviewed, write_review
from pipeline.directory.layout import Layout
from pipeline.directory.reviews import (
    ABOUT,
    addresses,
    first_round_to_come,
    holds,
    inputs_at,
    next_address,
    publish,
    settled,
)
from pipeline.plan import at, plan
from pipeline.verify import verify
from pipeline.views.reviewed import told
from stages.job import Job
from tests.fake_stages import CONFIG, FakeLauncher, committed, config_in, session

THREE = CONFIG.replace("rounds: 1", "rounds: 3")
CLASSES = ("A", "B")


def put(root: Path, said: dict[int, int], by: str = "Ana", when: str = "2025-01-01T00:00:00Z") -> str:
    """A review in place, as `review import` puts it there."""
    layout = Layout(root)
    with settled(layout):
        address = next_address(layout)

        def fill(directory: Path) -> None:
            write_review(directory / "labels.parquet", Reviewed.of(said), CLASSES)
            (directory / ABOUT).write_text(json.dumps({"by": by, "at": when, "labels": {"A": 1, "B": 0}}))

        publish(layout, address, at(first_round_to_come(layout), "teacher"), fill)
    return address


class Killed(BaseException):
    pass


def at_step(address: str, do: Callable[[], object]) -> Callable[[Job], None]:
    """A misbehaviour: do it while that step is at work."""

    def before(job: Job) -> None:
        if job.address == address:
            do()

    return before


def reviews_of(root: Path, address: str) -> list[str]:
    inputs = json.loads((root / address / "stage.json").read_text())["recipe"]["inputs"]
    return sorted(role for role in inputs if role.startswith("review_"))


@pytest.fixture
def midway(tmp_path: Path) -> Path:
    """A run that was reviewed while the select step of round 0 was at work, and then went on to the end."""
    root = tmp_path / "run"
    launcher = FakeLauncher(before=at_step("rounds/00/select", lambda: put(root, {3: 0})))
    session(root, launcher).run(config_in(tmp_path, THREE))
    return root


def test_it_holds_from_the_first_round_that_had_not_begun(midway: Path) -> None:
    assert holds(Layout(midway)) == {"reviews/0000": "rounds/01/teacher"}
    honoured = {address for address in Layout(midway).standing() if reviews_of(midway, address)}
    # scores are facts of the teacher, and the gate of round 2 compares models that both know the review
    assert honoured == {"rounds/01/teacher", *(at(n, name) for n in (1, 2) for name in ("select", "student"))}


def test_resume_and_verify_take_it_like_any_other_input(midway: Path) -> None:
    before, launcher = committed(midway), FakeLauncher()
    session(midway, launcher).resume()
    assert launcher.launched == []
    assert committed(midway) == before
    assert "ok  reviews/0000        2 files" in list(verify(Layout(midway)))


@pytest.mark.parametrize("killed_at", ["rounds/01/teacher", "rounds/01/select", "rounds/02/student", "final"])
def test_killed_anywhere_after_it_ends_with_the_same_bytes(midway: Path, tmp_path: Path, killed_at: str) -> None:
    root = tmp_path / "killed"

    def die() -> None:
        raise Killed

    def before(job: Job) -> None:
        at_step("rounds/00/select", lambda: put(root, {3: 0}, "somebody else", "2031-12-31T00:00:00Z"))(job)
        at_step(killed_at, die)(job)

    with pytest.raises(Killed):
        session(root, FakeLauncher(before=before)).run(config_in(tmp_path, THREE))
    session(root).resume()
    # who and when are provenance: they are in no recipe
    assert committed(root) == committed(midway)


def test_another_label_gives_other_bytes(midway: Path, tmp_path: Path) -> None:
    root = tmp_path / "other"
    launcher = FakeLauncher(before=at_step("rounds/00/select", lambda: put(root, {3: 1})))
    session(root, launcher).run(config_in(tmp_path, THREE))
    before, after = committed(midway), committed(root)
    changed = {name for name in before if before[name] != after[name]}
    assert all(name.startswith(("rounds/01", "rounds/02", "final")) for name in changed)
    assert "rounds/01/select/stage.json" in changed


def test_a_rerun_lets_what_is_made_again_honour_it_and_nothing_else(midway: Path) -> None:
    before, launcher = committed(midway), FakeLauncher()
    session(midway, launcher).rerun("rounds/00/select", [])
    assert launcher.launched[0] == "rounds/00/select"
    after = committed(midway)
    for step in ("rounds/00/teacher/stage.json", "rounds/00/predict/stage.json"):
        assert before[step] == after[step]
    assert holds(Layout(midway)) == {"reviews/0000": "rounds/00/select"}
    assert reviews_of(midway, "rounds/00/student") == ["review_0000"]
    # its student has seen it: to the gate it is no news any more
    assert reviews_of(midway, "rounds/01/teacher") == []
    session(midway, again := FakeLauncher()).resume()
    assert again.launched == []
    session(midway).rerun("rounds/02/select", [])
    assert holds(Layout(midway)) == {"reviews/0000": "rounds/00/select"}


def test_a_rerun_killed_at_any_step_goes_on_to_the_same_bytes(midway: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(midway, other)
    session(midway).rerun("rounds/00/select", [])

    def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        session(other, FakeLauncher(before=at_step("rounds/01/select", die))).rerun("rounds/00/select", [])
    session(other).resume()
    assert committed(other) == committed(midway)


def test_a_review_of_a_finished_chain_changes_nothing_until_a_rerun(tmp_path: Path) -> None:
    root = tmp_path / "run"
    session(root).run(config_in(tmp_path, THREE))
    before, launcher = committed(root), FakeLauncher()
    put(root, {3: 0})
    session(root, launcher).resume()
    session(root, launcher).run(config_in(tmp_path, THREE))
    assert launcher.launched == []
    assert committed(root) == before
    (one,) = told(Layout(root))
    assert (one["honoured_from"], one["honoured"]) == ("rounds/03/teacher", False)
    session(root).rerun("final", ["rounds=4"])
    assert reviews_of(root, "rounds/03/teacher") == reviews_of(root, "rounds/03/student") == ["review_0000"]


def test_reviews_add_up_and_each_holds_from_its_own_round(tmp_path: Path) -> None:
    root = tmp_path / "run"

    def before(job: Job) -> None:
        at_step("rounds/00/student", lambda: put(root, {3: 0}))(job)
        at_step("rounds/01/student", lambda: put(root, {4: 1}))(job)

    session(root, FakeLauncher(before=before)).run(config_in(tmp_path, THREE))
    assert reviews_of(root, "rounds/01/select") == ["review_0000"]
    assert reviews_of(root, "rounds/02/select") == ["review_0000", "review_0001"]
    assert reviews_of(root, "rounds/02/teacher") == ["review_0001"]
    launched: dict[str, Any] = {}
    session(root, FakeLauncher(before=lambda job: launched.update({job.address: job.inputs}))).rerun(
        "rounds/02/student", []
    )
    assert launched["rounds/02/student"]["review_0001"] == root / "reviews/0001"


def test_a_damaged_review_is_named_before_anything_is_built_on_it(midway: Path) -> None:
    shutil.rmtree(midway / "final")
    shutil.move(midway / "rounds/02/student", midway / "kept")
    path = midway / "reviews/0000/labels.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
    launcher = FakeLauncher()
    with pytest.raises(ChainError) as caught:
        session(midway, launcher).resume()
    assert caught.value.code == ExitCode.DAMAGED
    assert "reviews/0000/labels.parquet" in caught.value.what
    assert launcher.launched == []
    with pytest.raises(ChainError, match=r"rounds/02/student is missing|reviews/0000"):
        list(verify(Layout(midway)))


def test_a_review_taken_away_is_a_changed_recipe(midway: Path) -> None:
    shutil.rmtree(midway / "reviews/0000")
    with pytest.raises(ChainError) as caught:
        session(midway).resume()
    assert caught.value.code == ExitCode.MISMATCH
    assert "rounds/01/teacher was made by a different recipe (inputs.review_0000: sha256:" in caught.value.what
    with pytest.raises(ChainError, match="other reviews than hold"):
        list(verify(Layout(midway)))


def test_without_the_file_that_says_from_where_nothing_is_guessed(midway: Path) -> None:
    (midway / "reviews/holds.json").unlink()
    with pytest.raises(ChainError) as caught:
        session(midway).resume()
    assert caught.value.code == ExitCode.DAMAGED


def test_steps_take_no_review_before_it_holds_and_the_final_one_never(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    put(tmp_path, {3: 0})
    assert holds(layout) == {"reviews/0000": "rounds/00/teacher"}
    config = config_in(tmp_path / "c", THREE)
    taking = {step.address for step in plan(config) if inputs_at(layout, step)}
    assert taking == {"rounds/00/teacher", *(at(n, name) for n in range(3) for name in ("select", "student"))}
    assert addresses(layout) == ["reviews/0000"]
