"""stage.json: the commit record of a finished stage. Written last, it seals the directory; only it proves anything."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.atomic import fsync_dir, fsync_file, sha256_file, write_json
from data.errors import ChainError, ExitCode
from pipeline.layout import Layout
from pipeline.recipe import Recipe, content_digest

FORMAT = 1
NAME = "stage.json"


@dataclass(frozen=True)
class Record:
    """What a directory holds and what it was made from. `files`: relative path -> (SHA-256, bytes)."""

    address: str
    kind: str
    recipe: Recipe
    files: dict[str, tuple[str, int]]

    @property
    def digest(self) -> str:
        """Content digest: what later recipes name this step by."""
        return content_digest({name: digest for name, (digest, _) in self.files.items()})


@dataclass(frozen=True)
class Stop:
    """Why a chain ended at a step."""

    reason: str
    detail: str


def seal(directory: Path, address: str, recipe: Recipe) -> Record:
    """Make every file durable, then write the record, which makes the directory whole."""
    files: dict[str, tuple[str, int]] = {}
    for path in sorted(directory.rglob("*")):
        assert not path.is_symlink(), f"a stage wrote a link: {path}"
        if path.is_dir():
            fsync_dir(path)
            continue
        fsync_file(path)
        files[path.relative_to(directory).as_posix()] = (sha256_file(path), path.stat().st_size)
    assert files, f"{address} wrote nothing"
    record = Record(address, recipe["kind"], recipe, files)
    write_json(
        directory / NAME,
        {
            "format": FORMAT,
            "address": address,
            "kind": record.kind,
            "recipe": recipe,
            "files": {name: {"sha256": digest, "bytes": size} for name, (digest, size) in files.items()},
        },
    )
    return record


def read_record(directory: Path, address: str, layout: Layout) -> Record:
    """Raises ChainError: 76 when there is no usable record, 78 when a newer program wrote it."""
    shown = f"{directory.relative_to(layout.root)}/{NAME}"
    try:
        plain: dict[str, Any] = json.loads((directory / NAME).read_bytes())
        if plain["format"] > FORMAT:
            raise ChainError(
                f"{shown} has format {plain['format']}",
                f"this program reads formats up to {FORMAT}: a newer one made this run",
                "use the newer program",
                ExitCode.MISMATCH,
            )
        if plain["format"] < 1:
            raise ValueError
        files = {str(name): (str(entry["sha256"]), int(entry["bytes"])) for name, entry in plain["files"].items()}
        record = Record(str(plain["address"]), str(plain["kind"]), dict(plain["recipe"]), files)
    except FileNotFoundError:
        raise damaged(layout, address, f"{shown} is missing") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(layout, address, f"{shown} is damaged") from None
    if record.address != address or record.kind != record.recipe.get("kind"):
        raise damaged(layout, address, f"{shown} belongs to {record.kind} {record.address}")
    return record


def faults(directory: Path, record: Record) -> list[str]:
    """Files that are not what the record says, in words. Reads every byte."""
    found = []
    for name, (digest, size) in sorted(record.files.items()):
        path = directory / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != size:
            found.append(f"{name} has {path.stat().st_size:,} bytes, not {size:,}")
        elif sha256_file(path) != digest:
            found.append(f"{name} does not have the content that was committed")
    return found


def damaged(layout: Layout, address: str, what: str) -> ChainError:
    """The refusal to build on a damaged step."""
    return ChainError(
        what,
        f"{address} was damaged after it was committed; nothing is built on it",
        f"put the file back, or make this step and all after it again: {layout.rerun(address)}",
        ExitCode.DAMAGED,
    )


def stop_of(directory: Path) -> Stop | None:
    """The stop that a finished stage declares, if any."""
    path = directory / "stop.json"
    if not path.is_file():
        return None
    plain = json.loads(path.read_bytes())
    return Stop(str(plain["reason"]), str(plain.get("detail", "")))
