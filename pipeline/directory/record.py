"""stage.json: the commit record of a finished stage. Written last, it seals the directory; only it proves anything."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import canonical_json, sha256_file, write_json
from data.files.regular import read_regular
from data.files.sealed import RECORD, Files, content_digest, durable_files, files_of, misfits
from pipeline.directory.recipe import Recipe
from pipeline.directory.workspace import Workspace

FORMAT = 2  # 1: without `record`, the digest of the record itself


@dataclass(frozen=True)
class Record:
    """What a directory holds and what it was made from. `files`: relative path -> (SHA-256, bytes)."""

    address: str
    kind: str
    recipe: Recipe
    files: Files

    @property
    def digest(self) -> str:
        """Content digest: what later recipes name this step by."""
        return content_digest({name: digest for name, (digest, _) in self.files.items()})


@dataclass(frozen=True)
class Stop:
    """Why a chain ended at a step."""

    reason: str
    detail: str


def seal(directory: Path, address: str, recipe: Recipe, files: Files | None = None) -> Record:
    """Make every file durable, then write the record, which makes the directory whole.

    files: what `durable_files` gave to another process that did the first half.
    """
    files = durable_files(directory) if files is None else files
    assert files, f"{address} wrote nothing"
    record = Record(address, recipe["kind"], recipe, files)
    plain = {
        "format": FORMAT,
        "address": address,
        "kind": record.kind,
        "recipe": recipe,
        "files": {name: {"sha256": digest, "bytes": size} for name, (digest, size) in files.items()},
    }
    write_json(directory / RECORD, plain | {"record": _own_digest(plain)})
    return record


def read_record(directory: Path, address: str, layout: Workspace) -> Record:
    """Raises ChainError: 76 when there is no usable record, 78 when a newer program wrote it."""
    shown = f"{directory.relative_to(layout.root)}/{RECORD}"
    try:
        plain: dict[str, Any] = json.loads(read_regular(directory / RECORD))
        if plain["format"] > FORMAT:
            raise ChainError(
                f"{shown} has format {plain['format']}",
                f"this program reads formats up to {FORMAT}: a newer one made this run",
                "use the newer program",
                ExitCode.MISMATCH,
            )
        if plain["format"] < 1 or (plain["format"] > 1 and plain.pop("record") != _own_digest(plain)):
            raise ValueError
        record = Record(str(plain["address"]), str(plain["kind"]), dict(plain["recipe"]), files_of(plain))
    except FileNotFoundError:
        raise damaged(layout, address, f"{shown} is missing") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged(layout, address, f"{shown} is damaged") from None
    if record.address != address or record.kind != record.recipe.get("kind"):
        raise damaged(layout, address, f"{shown} belongs to {record.kind} {record.address}")
    return record


def _own_digest(plain: Mapping[str, Any]) -> str:
    return f"sha256:{hashlib.sha256(canonical_json(plain)).hexdigest()}"


def faults(directory: Path, record: Record) -> list[str]:
    """Files that are not what the record says, in words. Reads every byte."""
    found = misfits(directory, record.files)
    for name, (digest, size) in sorted(record.files.items()):
        path = directory / name
        if path.is_file() and path.stat().st_size == size and sha256_file(path) != digest:
            found.append(f"{name} does not have the content that was committed")
    return found


def damaged(layout: Workspace, address: str, what: str) -> ChainError:
    """The refusal to build on a damaged step."""
    return ChainError(
        what,
        f"{address} was damaged after it was committed; nothing is built on it",
        f"put the file back, or {layout.remedy(address)}",
        ExitCode.DAMAGED,
    )


def read_facts(path: Path) -> dict[str, Any]:
    """What a small JSON file of a finished stage tells, nothing where there is none. Raises ChainError (76)."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ChainError(
            f"{path} is damaged", "it is not JSON", "see which step to make again: `verify RUN`", ExitCode.DAMAGED
        )
    return content


def stop_of(directory: Path) -> Stop | None:
    """The stop that a finished stage declares, if any."""
    path = directory / "stop.json"
    if not path.is_file():
        return None
    try:
        plain = read_facts(path)
        return Stop(str(plain["reason"]), str(plain.get("detail", "")))
    except (ChainError, KeyError):
        # that it stands is what ends the chain: who only looks is told, `verify` refuses it, and `rerun` mends it
        return Stop("unknown", f"{path.name} is damaged; see `verify`")
