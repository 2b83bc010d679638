"""Section `select`: one of the rules in `rules/`, told apart by its key `rule`."""

import json
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union

from pydantic import Field, TypeAdapter

from stages.select.rule import Rule
from stages.select.rules import members

if TYPE_CHECKING:
    SelectConfig: TypeAlias = Rule
else:
    SelectConfig = Annotated[Union[tuple(members().values())], Field(discriminator="rule")]  # noqa: UP007

__all__ = ["Rule", "SelectConfig", "parse_rule"]


def parse_rule(section: dict[str, Any]) -> Rule:
    """The rule of a resolved section (plain JSON values). Raises pydantic's ValidationError."""
    adapter: TypeAdapter[Rule] = TypeAdapter(SelectConfig)
    return adapter.validate_json(json.dumps(section))
