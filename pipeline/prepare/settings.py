"""prepare.yaml: the resolved settings; and whether a directory may be prepared into."""

from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.preparation import Preparation
from pipeline.config.yaml_text import dump_yaml, read_yaml
from pipeline.directory.prepared import PreparedLayout

OURS = {"chain.lock", "ledger.jsonl", "logs", "id_key", ".staging", ".trash", ".prepare.yaml.part"}


def settings_text(preparation: Preparation) -> str:
    """Every setting, defaults spelled out. Of inputs that may name a person no path is kept."""
    plain = preparation.model_dump(mode="json")
    return dump_yaml({"prepare": _without_paths(preparation, plain) if preparation.keyed else plain})


def kind_of(layout: PreparedLayout) -> str:
    """What was prepared here, from prepare.yaml. Raises ChainError (66) when this is no prepared directory."""
    if not layout.begun:
        raise ChainError(
            f"{layout.root} is no prepared directory", f"it holds no {layout.settings.name}", "check the path",
            ExitCode.MISSING,
        )  # fmt: skip
    value = read_yaml(layout.settings).value
    section = value.get("prepare") if isinstance(value, dict) else None
    return str(section.get("kind", "units")) if isinstance(section, dict) else "units"


def refuse_another(layout: PreparedLayout, preparation: Preparation) -> None:
    """Raise ChainError (78) when the directory holds something else; nothing has been written yet."""
    root = layout.root
    if layout.begun:
        if (kind := kind_of(layout)) != preparation.kind:
            raise ChainError(
                f"{root} holds prepared {kind}, not {preparation.kind}",
                "one directory holds the units of one kind",
                "name another directory",
                ExitCode.MISMATCH,
            )
    elif root.exists() and (not root.is_dir() or any(path.name not in OURS for path in root.iterdir())):
        raise ChainError(
            f"{root} is no prepared directory",
            f"it holds other things and no {layout.settings.name}" if root.is_dir() else "it is a file",
            "name a new or an empty directory",
            ExitCode.MISMATCH,
        )


def _without_paths(value: Any, plain: Any) -> Any:
    if isinstance(value, Path):
        return "(not kept)"
    if hasattr(type(value), "model_fields"):
        return {name: _without_paths(getattr(value, name), plain[name]) for name in plain}
    if isinstance(value, list | tuple):
        return [_without_paths(inner, given) for inner, given in zip(value, plain, strict=True)]
    return plain
