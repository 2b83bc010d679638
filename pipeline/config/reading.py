"""The configuration of a chain: one complete YAML, read strictly, resolved to absolute paths, frozen."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from data.errors import ChainError, ExitCode
from data.preparation import Preparation
from data.section import Section
from pipeline.config.chain import PARTIAL, ChainConfig, overlaid
from pipeline.config.errors import refusal
from pipeline.config.overrides import Source, apply, override
from pipeline.config.patch_kind import check_suits, with_presets
from pipeline.config.yaml_text import Place, dump_yaml, read_yaml

if TYPE_CHECKING:
    from pipeline.config.preparing import PrepareOnly

Config = TypeVar("Config", bound=Section)


def load_config(path: Path, overrides: Sequence[str] = ()) -> ChainConfig:
    """Read, override, check and resolve a configuration.

    Relative paths in the file are relative to its folder, those in `overrides` ("student.steps=30") to the
    current directory. Raises ChainError: 66 when the file is missing, 78 naming file, line and key.
    """
    source = _source(path, overrides)
    return _loaded(source, _chain(source), path, overrides)


def load_preparation(path: Path, overrides: Sequence[str] = ()) -> Preparation:
    """The section `prepare` of a configuration, which may hold nothing else. Raises what `load_config` raises."""
    config = load_either(path, overrides)
    if config.prepare is None:
        raise ChainError(
            f"{path}: prepare: missing",
            "this section says how patches are made",
            "add it, or start from configs/slides.yaml",
            ExitCode.MISMATCH,
        )
    preparation: Preparation = config.prepare
    return preparation


def load_either(path: Path, overrides: Sequence[str] = ()) -> "ChainConfig | PrepareOnly":
    """A whole configuration, or one that only holds `prepare`. Raises what `load_config` raises."""
    source = _source(path, overrides)
    of_a_chain = source.tree.keys() & ChainConfig.model_fields.keys() - {"prepare"}
    if "prepare" in source.tree and not of_a_chain:
        from pipeline.config.preparing import PrepareOnly

        return _loaded(source, PrepareOnly, path, overrides)
    return _loaded(source, _chain(source), path, overrides)


def _chain(source: Source) -> type[ChainConfig]:
    if source.tree.get("prepare") is None:
        return ChainConfig
    from pipeline.config.preparing import PreparingChain

    return PreparingChain


def _source(path: Path, overrides: Sequence[str]) -> Source:
    document = read_yaml(path)
    if document.value is None:
        raise ChainError(
            f"{path} is empty",
            "a chain needs at least `data` and `select`, `prepare` its own section",
            "start from configs/demo.yaml",
            ExitCode.MISMATCH,
        )
    if not isinstance(document.value, dict):
        raise ChainError(
            f"{path} line 1: not a configuration",
            "its top level is not `key: value`",
            "start from configs/demo.yaml",
            ExitCode.MISMATCH,
        )
    source = Source(document.value, {place: f"{path} line {line}" for place, line in document.lines.items()})
    for text in overrides:
        apply(override(text), source)
    return source


def _loaded(source: Source, kind: type[Config], path: Path, overrides: Sequence[str]) -> Config:
    config = _validated(source, kind)
    set_here = [override(text).place for text in overrides]
    for place, relative in _relative_paths(config):
        by_hand = any(place[: len(prefix)] == prefix for prefix in set_here)
        source.replace(place, _absolute(relative, Path.cwd() if by_hand else path.parent))
    return _validated(source, kind)


def dump(config: ChainConfig) -> str:
    """The complete configuration as YAML, defaults spelled out; `load_config` gives the equal value back."""
    return dump_yaml(config.model_dump(mode="json"))


def schema() -> dict[str, Any]:
    """JSON schema of a configuration file, for editors."""
    from pipeline.config.preparing import PreparingChain

    return PreparingChain.model_json_schema()


def _validated(source: Source, kind: type[Config]) -> Config:
    tree = with_presets(source.tree) if issubclass(kind, ChainConfig) else source.tree
    try:
        config = kind.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        raise refusal(error, kind, source) from None
    if isinstance(config, ChainConfig):
        _refuse_rounds(config, source)
    return config


def _refuse_rounds(config: ChainConfig, source: Source) -> None:
    """Raise ChainError (78) for what `per_round` says wrongly: it is checked laid over its sections."""
    for number, changed in sorted(config.per_round.items()):
        place = ("per_round", str(number))
        if not 0 <= number < config.rounds:
            raise ChainError(
                f"{source.where(place)}: per_round.{number}: there is no such round",
                f"rounds: {config.rounds} counts them from 0",
                "correct the number, raise `rounds`, or do without: --set per_round={}",
                ExitCode.MISMATCH,
            )
        for name, adapter in PARTIAL.items():
            if (keys := getattr(changed, name)) is None:
                continue
            merged = overlaid(getattr(config, name).model_dump(mode="json"), keys)
            try:
                adapter.validate_json(json.dumps(merged))
            except ValidationError as error:
                raise refusal(
                    error, ChainConfig.model_fields[name].rebuild_annotation(), source, (*place, name)
                ) from None
    check_suits(config, source)


def _relative_paths(config: Section) -> list[tuple[Place, Path]]:
    """Every path the configuration gives, by its place in the file, that does not begin at the root."""
    found = list(_paths(config, ()))
    for number, changed in config.per_round.items() if isinstance(config, ChainConfig) else ():
        for name, adapter in PARTIAL.items():
            if (keys := getattr(changed, name)) is None:
                continue
            merged = adapter.validate_json(json.dumps(overlaid(getattr(config, name).model_dump(mode="json"), keys)))
            found += _paths(merged, ("per_round", str(number), name))
    return [(place, path) for place, path in found if not path.is_absolute()]


def _paths(value: Any, place: Place) -> Iterator[tuple[Place, Path]]:
    if isinstance(value, Path):
        yield place, value
    elif isinstance(value, Section):
        for name in type(value).model_fields:
            yield from _paths(getattr(value, name), (*place, name))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _paths(item, (*place, str(i)))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*place, str(key)))


def _absolute(path: Path, base: Path) -> str:
    with contextlib.suppress(RuntimeError):  # ~ and a user that is not known here: to a shell too a name like others
        path = path.expanduser()
    # not resolve(): where a link points may change, its name is what the user gave
    return str(Path(*_folded((base.absolute() / path).parts)))


def _folded(parts: Sequence[str]) -> list[str]:
    folded: list[str] = []
    for part in parts:
        if part == ".." and len(folded) > 1:
            folded.pop()
        elif part != ".":
            folded.append(part)
    return folded
