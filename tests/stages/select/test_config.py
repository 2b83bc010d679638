"""Section `select`: rules are told apart by their key."""

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from data.section import Section
from stages.select.config import SelectConfig, parse_rule
from stages.select.rules import members


@pytest.mark.parametrize("name", members())
def test_a_rule_survives_the_way_to_its_stage(name):
    rule = TypeAdapter(SelectConfig).validate_python({"rule": name})
    assert parse_rule(rule.model_dump(mode="json")) == rule
    assert rule.recipe()["rule"] == name
    assert rule.calibrate


def test_every_key_says_what_it_means():
    for rule in members().values():
        for key, field in rule.model_fields.items():
            assert key == "rule" or field.description, f"{rule.__name__}.{key}"


@pytest.mark.parametrize(
    "section",
    [
        {"rule": "nearest"},
        {"rule": "top_k", "k": 0},
        {"rule": "top_k", "tau": 0.5},
        {"rule": "threshold", "tau": 1.5},
        {"rule": "balanced", "n_per_class": 0},
        {"rule": "curriculum", "step": 0},
        {"k": 5},
    ],
)
def test_nonsense_is_refused(section):
    with pytest.raises(ValidationError):
        parse_rule(section)


def test_a_section_can_hold_any_rule():
    class Whole(Section):
        select: SelectConfig = Field(...)

    assert Whole.model_validate({"select": {"rule": "curriculum"}}).select.rule == "curriculum"
