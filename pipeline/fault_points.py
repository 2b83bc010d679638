"""Every fault point of the program, read from its own source, so that the list cannot lag behind.

python -m pipeline.fault_points
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data.fault import ANYWHERE

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("data", "stages", "pipeline")
CALLS = {"point": ANYWHERE, "written": (*ANYWHERE, "torn"), "poisoned": ("nan",)}


@dataclass(frozen=True)
class FaultPoint:
    """Its name, what can strike there, and where it stands."""

    name: str
    kinds: tuple[str, ...]
    place: str


def fault_points() -> list[FaultPoint]:
    """All of them, by name."""
    files = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
    return sorted((found for path in files for found in _in(path)), key=lambda found: found.name)


def _in(path: Path) -> Iterator[FaultPoint]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "fault"):
            continue
        name = node.args[0]
        assert isinstance(name, ast.Constant), f"{path}: a point is named in place"
        place = f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
        yield FaultPoint(str(name.value), CALLS[node.func.attr], place)


if __name__ == "__main__":
    for found in fault_points():
        print(f"{found.name:<22}{found.place:<34}{' '.join(found.kinds)}")
