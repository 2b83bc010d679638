"""A section of the configuration: a frozen value beside the code it configures."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from data.errors import ChainError, ExitCode
from data.files.atomic import sha256_file


class Digested:
    """Marks a path field whose *content* is part of the recipe (`Annotated[Path, Digested()]`)."""


class Section(BaseModel):
    """Base of every configuration section: immutable, unknown keys refused, strict types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    def recipe(self) -> dict[str, Any]:
        """The science in this section as plain JSON values: every key, except where things lie.

        A path is hardware, not science: it is left out, or, marked `Digested`, replaced by the
        SHA-256 of the file, so a moved file changes nothing and a changed file changes the recipe.
        """
        recipe: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, Path):
                if any(isinstance(mark, Digested) for mark in field.metadata):
                    recipe[name] = content_digest(value)
            else:
                recipe[name] = _plain(value)
        return recipe


def content_digest(path: Path) -> str:
    """`sha256:...` of a file a configuration names. Raises ChainError (66) when it is not there."""
    if not path.is_file():
        raise ChainError(
            f"{path} is missing",
            "the configuration names this file and the recipe depends on its content",
            "correct the path in the configuration, or with --set",
            ExitCode.MISSING,
        )
    about = path.stat()
    return _digest(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    # a foundation model's weights are asked for once a step; within one process once is enough
    return f"sha256:{sha256_file(path)}"


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.recipe()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    assert value is None or isinstance(value, bool | int | float | str), f"not a configuration value: {value!r}"
    return value
