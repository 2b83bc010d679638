"""A prepared directory as a chain reads it: `prepared.json`, written last, names every unit and its digest."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.files.atomic import write_json
from data.files.sealed import content_digest, misfits, sealed_files
from data.patches.deid import key_name, read_id_key

INDEX, UNITS, SETTINGS = "prepared.json", "units", "prepare.yaml"
ID_KEY = "id_key"  # the secret of keyed hashes, where it was made there
# files of a unit
STORE, QUARANTINE, THUMBNAIL, FACTS = "patches.h5", "quarantine.csv", "thumbnail.jpg", "facts.json"
EMPTY = "empty"  # the fact that says why a unit has no patch; it then has no store
FORMAT = 1


@dataclass(frozen=True)
class Listed:
    """A unit of the index. digest: over all its files (see `data.files.sealed`)."""

    name: str
    digest: str
    patches: int


def write_index(path: Path, kind: str, units: Sequence[Listed], key: str = "") -> None:
    """Write the index, units in the order of the input. Nothing in it depends on when, or how often, it was made.

    key: which secret the names are hashed with (`data.patches.deid.key_name`), "" where they are none.
    """
    rows = [{"name": unit.name, "digest": unit.digest, "patches": unit.patches} for unit in units]
    write_json(path, {"format": FORMAT, "kind": kind, "units": rows} | ({"key": key} if key else {}))


def key_of(root: Path) -> str:
    """Which secret the names in a prepared directory are hashed with, "" where it does not tell. See `write_index`."""
    plain = json.loads((root / INDEX).read_bytes())
    own = root / ID_KEY
    if "key" not in plain and own.is_file():  # of an earlier program, which did not write it down
        return key_name(read_id_key(own))
    return str(plain.get("key", ""))


def read_index(root: Path) -> list[Listed]:
    """The units of a prepared directory. Raises ChainError: 66 absent or not finished, 76 damaged, 78 newer."""
    path = root / INDEX
    try:
        plain: dict[str, Any] = json.loads(path.read_bytes())
        if plain["format"] > FORMAT:
            raise ChainError(
                f"{path} has format {plain['format']}",
                f"this program reads formats up to {FORMAT}",
                "use the newer program that made it",
                ExitCode.MISMATCH,
            )
        units = [Listed(_name(unit["name"]), str(unit["digest"]), int(unit["patches"])) for unit in plain["units"]]
    except (FileNotFoundError, NotADirectoryError):
        raise _unfinished(root) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ChainError(
            f"{path} is damaged",
            f"it is no list of units ({type(error).__name__})",
            f"write it again: python run_chain.py prepare CONFIG {root}",
            ExitCode.DAMAGED,
        ) from error
    for unit in units:
        _check(root, unit)
    return units


def _check(root: Path, unit: Listed) -> None:
    """Raise ChainError (76) unless the unit's record gives the digest of the index and its files have their sizes."""
    place = root / UNITS / unit.name
    files = sealed_files(place)
    if files is None:
        why = "its record is missing or damaged" if place.is_dir() else "its directory is gone"
    elif content_digest({name: sha for name, (sha, _) in files.items()}) != unit.digest:
        why = f"it is not the one that {INDEX} lists"
    elif found := misfits(place, files):
        why = found[0]
    else:
        return
    raise ChainError(
        f"{place} is not as it was prepared",
        why,
        f"put it back, or remove it and make it again: python run_chain.py prepare CONFIG {root}",
        ExitCode.DAMAGED,
    )


def _name(given: Any) -> str:
    name = str(given)
    if not name or "/" in name or "\0" in name or name.startswith("."):
        raise ValueError("not the name of a unit")
    return name


def _unfinished(root: Path) -> ChainError:
    if (root / SETTINGS).is_file():
        return ChainError(
            f"{root} is not finished",
            f"{INDEX} is written when every unit is prepared",
            f"go on with it: python run_chain.py prepare CONFIG {root}",
            ExitCode.MISSING,
        )
    return ChainError(
        f"{root} is {'no prepared directory' if root.exists() else 'missing'}",
        f"it holds no {INDEX}" if root.exists() else "nothing lies there",
        f"make it: python run_chain.py prepare CONFIG {root}",
        ExitCode.MISSING,
    )
