"""The gate: validation decides, test never enters, doubt is told, and the reason is written down."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data.errors import ChainError, ExitCode
from stages.job import Job
from stages.measures.judged import Judged, read_judged, write_judged
from stages.promote.config import PromoteConfig
from stages.promote.stage import decide, run


def judged(accuracy: float, n: int = 1000, seed: int = 0, per_patient: int = 10, classes: int = 2) -> Judged:
    """A model that is right in this share of n patches, the same patches for every call."""
    rng = np.random.default_rng(99)
    label = rng.integers(0, classes, n).astype(np.int16)
    right = np.zeros(n, bool)
    right[np.random.default_rng(seed).permutation(n)[: round(accuracy * n)]] = True
    said = np.where(right, label, (label + 1) % classes)
    log_probs = np.log(np.full((n, classes), 0.1 / (classes - 1), np.float32))
    log_probs[np.arange(n), said] = np.log(0.9)
    return Judged(np.arange(n, dtype=np.uint64), log_probs, label, np.arange(n) // per_patient)


ACCURACY = PromoteConfig(metric="accuracy")


@pytest.mark.parametrize(
    ("teacher", "student", "tolerance", "winner"),
    [(0.8, 0.9, 0.0, "student"), (0.8, 0.8, 0.0, "student"), (0.8, 0.7, 0.0, "teacher"), (0.8, 0.7, 0.2, "student")],
)
@pytest.mark.parametrize("test", ["paired", "bare"])
def test_a_worse_student_is_not_promoted(
    teacher: float, student: float, tolerance: float, winner: str, test: str
) -> None:
    section = PromoteConfig(metric="accuracy", tolerance=tolerance, test=test)  # type: ignore[arg-type]
    found = decide(section, judged(teacher), judged(student, seed=1), 0)
    assert found["winner"] == winner
    assert found["difference"] == pytest.approx(student - teacher)
    low, high = found["interval"]
    assert low <= student - teacher <= high


@pytest.mark.parametrize("n", [40, 50, 100, 200])
def test_a_loss_of_just_the_tolerance_passes_whatever_floats_make_of_it(n: int) -> None:
    for right in range(3, n):
        section = PromoteConfig(metric="accuracy", tolerance=2 / n, test="bare")
        found = decide(section, judged(right / n, n), judged((right - 2) / n, n), 0)
        assert found["winner"] == "student"


def test_a_small_loss_is_refused_where_many_patches_show_it_and_passes_in_doubt_where_few_do() -> None:
    many = decide(ACCURACY, judged(0.80, 20_000), judged(0.78, 20_000, seed=1), 0)
    few = decide(ACCURACY, judged(0.80, 50, per_patient=1), judged(0.78, 50, seed=1, per_patient=1), 0)
    assert (many["winner"], few["winner"]) == ("teacher", "student")
    assert many["undecided"] is None
    assert "cannot tell" in few["undecided"]
    assert few["interval"][0] < -0.05 < 0.05 < few["interval"][1]
    bare = PromoteConfig(metric="accuracy", test="bare")
    refused = decide(bare, judged(0.80, 50, per_patient=1), judged(0.78, 50, seed=1, per_patient=1), 0)
    assert refused["winner"] == "teacher"


def test_losses_that_pass_one_by_one_do_not_add_up() -> None:
    """Each student is a little worse than its teacher, within the tolerance; the third is too far from the first."""
    section = PromoteConfig(metric="accuracy", tolerance=0.02)
    first, second, third = (judged(value, 20_000, seed=k) for k, value in enumerate((0.85, 0.835, 0.82)))
    assert decide(section, first, second, 0)["winner"] == "student"
    assert decide(section, second, third, 0)["winner"] == "student"
    found = decide(section, second, third, 0, first)
    assert found["winner"] == "teacher"
    assert "beside the first teacher: validation accuracy 0.850 -> 0.820" in found["reason"]
    assert (found["teacher"], found["beside_first"]["teacher"]) == pytest.approx((0.835, 0.85))
    better = decide(section, second, judged(0.9, 20_000, seed=3), 0, first)
    assert better["winner"] == "student"
    assert better["beside_first"]["difference"] == pytest.approx(0.05)
    assert "first teacher" not in better["reason"]


def test_what_is_clearly_worse_is_refused_though_validation_is_tiny() -> None:
    assert decide(ACCURACY, judged(0.9, 40), judged(0.6, 40, seed=1), 0)["winner"] == "teacher"


def test_two_patches_lost_of_fourteen_end_no_chain_that_asks_for_a_clear_loss() -> None:
    """Chance alone lets one of four such pairs fall so; a bootstrap of them would be surer than 0.9."""
    section = PromoteConfig(metric="accuracy", worse_limit=0.95)
    found = decide(section, judged(1.0, 14, per_patient=1), judged(12 / 14, 14, seed=1, per_patient=1), 0)
    assert found["winner"] == "student"
    assert found["probability_worse"] == pytest.approx(0.875, abs=0.02)
    assert found["interval"][1] <= 0
    assert "cannot tell" in found["undecided"]


def test_too_few_patients_are_told() -> None:
    found = decide(ACCURACY, judged(0.8, 60, per_patient=30), judged(0.8, 60, seed=1, per_patient=30), 0)
    assert (found["resampled"], found["groups"], found["n"]) == ("patch", 2, 60)
    assert "in only 2 patients or slides" in found["undecided"]


def test_what_more_labels_would_tell_is_asked_of_other_patients_where_patients_are_known() -> None:
    found = decide(ACCURACY, judged(0.8, 120, per_patient=20), judged(0.8, 120, seed=1, per_patient=20), 0)
    asked = "from 120 patches in 6 patients or slides; validation labels of more patients or slides would"
    assert found["undecided"].endswith(asked)
    alone = decide(ACCURACY, judged(0.8, 40, per_patient=1), judged(0.8, 40, seed=1, per_patient=1), 0)
    assert alone["undecided"].endswith("from 40 patches; more validation labels would")


def test_the_same_numbers_every_time_and_others_with_another_seed() -> None:
    models = judged(0.8, 300), judged(0.78, 300, seed=1)
    assert decide(ACCURACY, *models, 3) == decide(ACCURACY, *models, 3)
    assert decide(ACCURACY, *models, 3) != decide(ACCURACY, *models, 4)


def test_without_validation_or_gate_every_student_passes_and_the_record_says_so() -> None:
    assert "no validation" in decide(PromoteConfig(), None, None, 0)["reason"]
    ungated = decide(PromoteConfig(gate=False), judged(0.9), judged(0.1), 0)
    assert ungated["winner"] == "student"
    assert "gate is off" in ungated["reason"]


@pytest.fixture
def contest(tmp_path: Path) -> Job:
    """A teacher that is better on validation, and worse on test, which nobody asks."""
    for who, value in (("teacher", 0.9), ("student", 0.5)):
        (tmp_path / who).mkdir()
        save_file({"weight": torch.full((3,), float(len(who)))}, tmp_path / who / "model.safetensors", {"who": who})
        (tmp_path / who / "model.json").write_text("{}")
        (tmp_path / who / "metrics.json").write_text(json.dumps({"validation": {}, "test": 1 - value}))
        write_judged(tmp_path / who, judged(value))
    out = tmp_path / "out"
    out.mkdir()
    inputs = {who: tmp_path / who for who in ("teacher", "student")}
    section = ACCURACY.model_dump(mode="json")
    return Job("rounds/01/teacher", "promote", 1, 0, section, inputs, out, tmp_path, tmp_path)


def test_the_winner_is_copied_whole_and_no_gain_is_named(contest: Job) -> None:
    line = run(contest)
    assert (contest.out / "model.safetensors").read_bytes() == (
        contest.inputs["teacher"] / "model.safetensors"
    ).read_bytes()
    assert (contest.out / "validation.h5").read_bytes() == (contest.inputs["teacher"] / "validation.h5").read_bytes()
    assert json.loads((contest.out / "stop.json").read_text())["reason"] == "no_gain"
    assert "0.900 -> 0.500" in line
    assert json.loads((contest.out / "promotion.json").read_text())["probability_worse"] == 1


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_gate_never_opens_because_its_file_is_lost(contest: Job, damage: str) -> None:
    path = contest.inputs["student"] / "validation.h5"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ChainError, match=r"validation\.h5") as refusal:
        run(contest)
    assert refusal.value.code == ExitCode.DAMAGED


def test_without_validation_there_is_no_such_file_and_the_student_passes(contest: Job) -> None:
    for directory in contest.inputs.values():
        (directory / "validation.h5").unlink()
        (directory / "metrics.json").write_text(json.dumps({"validation": None}))
    run(contest)
    assert (contest.out / "model.safetensors").read_bytes() == (
        contest.inputs["student"] / "model.safetensors"
    ).read_bytes()
    assert read_judged(contest.out) is None


def test_a_winner_that_is_not_finite_is_promoted_by_nothing(contest: Job) -> None:
    save_file({"weight": torch.tensor([1.0, torch.nan])}, contest.inputs["teacher"] / "model.safetensors")
    with pytest.raises(ChainError, match="not finite") as caught:
        run(contest)
    assert caught.value.code == ExitCode.DIVERGED
    assert not list(contest.out.iterdir())
