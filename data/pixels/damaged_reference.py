"""The refusal of a reference to pixels elsewhere that is none: what reads slides and what reads stores say the same."""

from data.errors import ChainError, ExitCode


def damaged_reference(into: str, why: str, todo: str) -> ChainError:
    """The refusal (76) of a payload that is none. into: `a slide` or `a store`."""
    return ChainError(f"a reference into {into} is damaged", why, todo, ExitCode.DAMAGED)
