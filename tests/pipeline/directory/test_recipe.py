import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from data.files.sealed import content_digest
from pipeline.config.overrides import Source, apply, override
from pipeline.directory.recipe import differences, flat, settings, shown

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 1e-5, "weak", "no", "1e-4", "a b", ""])
keys = st.sampled_from(["rule", "tau", "k", "noise", "steps"])
configs = st.dictionaries(
    keys, st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
)


def test_a_changed_key_is_named_as_in_the_configuration() -> None:
    before: dict[str, Any] = {"kind": "select", "seed": 0, "section": {"tau": 0.8}, "inputs": {}}
    after = before | {"section": {"tau": 0.7}}
    assert shown(differences(before, after, "select")) == "select.tau: 0.8 -> 0.7"


def test_equal_recipes_have_no_differences_and_others_have() -> None:
    recipe: dict[str, Any] = {"kind": "select", "seed": 0, "section": {"a": {"b": [1, 2]}}, "inputs": {"x": "sha256:1"}}
    assert differences(recipe, json.loads(json.dumps(recipe)), "select") == {}
    for change in (
        {"seed": 1},
        {"section": {"a": {"b": [1, 3]}}},
        {"section": {"a": {}}},
        {"inputs": {"x": "sha256:2"}},
    ):
        assert differences(recipe, recipe | change, "select")


def test_a_key_that_is_absent_is_said_to_be_and_one_that_is_null_or_absent_has_not_changed() -> None:
    before: dict[str, Any] = {"kind": "slides", "seed": 0, "section": {"quality": None, "limit": None}, "inputs": {}}
    after = before | {"section": {"quality": {"blur": 0.5}}}
    told = shown(differences(before, after, "prepare"))
    assert told == "prepare.quality.blur: absent -> 0.5"
    assert shown(differences(after, before, "prepare")) == "prepare.quality.blur: 0.5 -> absent"
    only = before | {"section": {"quality": None}}  # not equal, so it has a difference
    assert shown(differences(before, only, "prepare")) == "prepare.limit: nothing -> absent"


@given(configs, configs)
def test_settings_turn_one_configuration_into_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    complete = before | after  # resolved configurations hold every top-level key
    source = Source(json.loads(json.dumps(before)))
    for text in settings(before, complete):
        apply(override(text), source)
    assert flat(source.tree) == flat(complete)


def test_content_digests_do_not_depend_on_the_order_of_files() -> None:
    assert (
        content_digest({"a": "1", "b": "2"})
        == content_digest({"b": "2", "a": "1"})
        != content_digest({"a": "2", "b": "1"})
    )
