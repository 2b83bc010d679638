"""Each preset is the method it is named after, where the method is exact."""

from pathlib import Path

import pytest

from pipeline.config.chain import ChainConfig
from pipeline.config.reading import load_config
from pipeline.plan import plan
from stages.select.rules.balanced import Balanced
from stages.select.rules.curriculum import Curriculum
from stages.select.rules.rebalance import Rebalance
from stages.select.rules.top_k import TopK
from stages.select.rules.uncertainty import Uncertainty
from stages.train.config import StudentConfig

PRESETS = Path(__file__).resolve().parents[2] / "configs" / "presets"


def preset(name: str) -> ChainConfig:
    return load_config(PRESETS / f"{name}.yaml")


def students(config: ChainConfig) -> list[StudentConfig]:
    found = [config.section_of(step) for step in plan(config) if step.section == "student"]
    return [section for section in found if isinstance(section, StudentConfig)]


def test_shaw2020_pretrains_on_pseudo_labels_and_fine_tunes_on_given_ones_in_every_round() -> None:
    config = preset("shaw2020")
    assert isinstance(config.select, TopK)
    assert (config.select.p > 1, config.select.calibrate, config.predict.views) == (True, False, 1)
    for student in students(config):
        assert student.schedule == "pretrain_finetune"
        assert student.finetune is not None
        assert student.finetune.lr < student.lr
        assert not student.soft_labels
        assert not student.warm_start
        assert student.noise == config.teacher.noise, "ordinary augmentation"
        assert student.dropout == student.drop_path == 0


def test_noisy_student_is_soft_joint_and_noised_on_the_student_alone() -> None:
    config = preset("noisy_student")
    assert isinstance(config.select, Balanced)
    assert config.select.min_confidence == 0.3
    assert config.predict.views == 1
    for student in students(config):
        assert (student.schedule, student.soft_labels, student.warm_start) == ("joint", True, False)
        assert (student.unlabeled_ratio, student.label_smoothing, student.drop_path) == (3, 0.1, 0.2)
        assert 0.2 <= student.dropout <= 0.5
        assert (student.noise.choose, len(student.noise.choices)) == (2, 11)
        assert student.ema_decay > 0
    last = [student.finetune for student in students(config)]
    assert last[:-1] == [None, None]
    assert last[-1] is not None
    assert (last[-1].size_px or 0) > config.data.size_px
    assert last[-1].frozen_stages


def test_curriculum_ends_with_the_whole_pool_and_fresh_students() -> None:
    config = preset("curriculum")
    assert isinstance(config.select, Curriculum)
    assert config.select.step * config.rounds == pytest.approx(1)
    assert not any(student.warm_start or student.soft_labels for student in students(config))


def test_ups_has_the_thresholds_of_the_paper() -> None:
    config = preset("ups")
    rule = config.select
    assert isinstance(rule, Uncertainty)
    assert (rule.min_confidence, rule.max_deviation, rule.balance_floor) == (0.70, 0.05, 25)
    assert (rule.negative_confidence, rule.negative_deviation, rule.negative) == (0.05, 0.005, True)
    assert config.predict.mc_passes == 10
    assert all(student.dropout > 0 for student in students(config))


def test_rebalance_aligns_less_and_less() -> None:
    config = preset("rebalance")
    assert isinstance(config.select, Rebalance)
    assert [config.select.exponent(round) for round in range(config.rounds)] == [1.0, 0.75, 0.5]
    assert config.select.align == "labelled"


def test_students_of_default_go_on_from_students_and_never_from_the_first_teacher() -> None:
    assert [(student.warm_start, student.init.kind) for student in students(preset("default"))] == [
        (False, "full"),
        (True, "random"),
        (True, "random"),
    ]


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_header_of_a_preset_is_the_command_that_runs_it(path: Path) -> None:
    header = path.read_text(encoding="utf-8").split("seed:")[0]
    assert f"python run_chain.py run configs/presets/{path.name} runs/" in header
