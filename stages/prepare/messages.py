"""What a worker and its orchestrator say to each other: one JSON object a line, over the worker's stdin and stdout."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import ChainError, ExitCode
from data.preparation import Unit


@dataclass(frozen=True)
class Greeting:
    """The first line a worker reads. settings: of the preparation; key: of its hashes; log: for tracebacks."""

    settings: dict[str, Any]
    key: bytes
    log: Path

    def line(self) -> bytes:
        """As it is sent. (The key travels here and not in the arguments, which every user of the machine can read.)"""
        return _line({"settings": self.settings, "key": self.key.hex(), "log": str(self.log)})

    @staticmethod
    def read(line: bytes) -> "Greeting":
        """The reverse of `line`."""
        plain = json.loads(line)
        return Greeting(plain["settings"], bytes.fromhex(plain["key"]), Path(plain["log"]))


@dataclass(frozen=True)
class Order:
    """One unit to make into the empty directory `out`."""

    unit: Unit
    out: Path
    threads: int

    def line(self) -> bytes:
        """As it is sent."""
        unit = self.unit
        plain = {"name": unit.name, "shown": unit.shown, "paths": [str(path) for path in unit.paths]}
        return _line(
            {**plain, "fingerprint": unit.fingerprint, "out": str(self.out.absolute()), "threads": self.threads}
        )

    @staticmethod
    def read(line: bytes) -> "Order":
        """The reverse of `line`."""
        plain = json.loads(line)
        unit = Unit(plain["name"], plain["shown"], tuple(map(Path, plain["paths"])), plain["fingerprint"])
        return Order(unit, Path(plain["out"]), int(plain["threads"]))


def ready() -> bytes:
    """The worker has started and takes orders."""
    return _line({"ready": True})


def progress(done: int, total: int) -> bytes:
    """Patches of the unit in work."""
    return _line({"done": done, "total": total})


def alive() -> bytes:
    """The patches are done, and writing them goes on."""
    return _line({"alive": True})


def made(facts: dict[str, Any], files: dict[str, tuple[str, int]]) -> bytes:
    """The unit is whole and durable; files: as `data.files.sealed.durable_files` gives them."""
    return _line({"made": {"facts": facts, "files": files}})


def failed(error: ChainError) -> bytes:
    """The unit cannot be made."""
    return _line({"failed": {"what": error.what, "why": error.why, "todo": error.todo, "code": int(error.code)}})


def refusal(plain: dict[str, Any]) -> ChainError:
    """The reverse of what `failed` holds."""
    return ChainError(str(plain["what"]), str(plain["why"]), str(plain["todo"]), ExitCode(int(plain["code"])))


def _line(value: dict[str, Any]) -> bytes:
    # names of files may hold half characters: they travel as escapes
    return json.dumps(value, allow_nan=False).encode() + b"\n"
