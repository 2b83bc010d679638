"""The keys of `splits`."""

import pytest
from pydantic import ValidationError

from data.splits.config import LabelCount, LabelFraction, SplitsConfig


def test_a_share_below_one_and_a_count_are_told_apart():
    config = SplitsConfig.model_validate({"validation": 0.2, "test": 20, "labels": {"fraction": 0.01}})
    assert isinstance(config.validation, float)
    assert isinstance(config.test, int)
    assert config.labels == LabelFraction(fraction=0.01)
    assert SplitsConfig.model_validate({"labels": {"count": 4}}).labels == LabelCount(count=4)
    assert SplitsConfig.model_validate({"test": 0}).test == 0


def test_survives_the_way_to_a_stage():
    config = SplitsConfig.model_validate({"validation": 5, "test": 0.25, "labels": "all"})
    assert SplitsConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    "section",
    [
        {"validation": 1.5},
        {"test": -1},
        {"validation": 0.5, "test": 0.5},
        {"validation": 0.9, "test": 0.2},
        {"labels": {"count": 0}},
        {"labels": {"fraction": 0.0}},
        {"labels": {"fraction": 1.1}},
        {"labels": {"fraction": 0.1, "count": 3}},
        {"labels": "some"},
        {"unit": "cell"},
        {"seed": "0"},
        {"unknown": 1},
        {"folds": 3},
        {"fold": 1},
        {"folds": 3, "fold": 3},
        {"folds": 1, "fold": 0},
        {"folds": 3, "fold": 0, "validation": 0.2},
    ],
)
def test_nonsense_is_refused(section):
    with pytest.raises(ValidationError):
        SplitsConfig.model_validate(section)
