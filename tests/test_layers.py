"""Imports go one way: data <- stages <- pipeline <- run_chain.py, within each too; torch stays where tensors are."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("data", "stages", "pipeline", "run_chain")
NO_TORCH = {"torch", "torchvision", "pytorch_lightning", "lightning", "timm"}
FILES = [path.relative_to(ROOT) for layer in LAYERS for path in (ROOT / layer).rglob("*.py")] + [Path("run_chain.py")]


def imports(path: Path) -> Iterator[str]:
    """Every module a file names in an import, wherever it stands in the file."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)  # a name may be a module


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_layer_imports_upwards(path: Path) -> None:
    own = LAYERS.index(path.parts[0].removesuffix(".py"))
    for module in imports(path):
        top = module.partition(".")[0]
        assert top not in LAYERS or LAYERS.index(top) <= own, f"{path} imports {module}"


def room(module: str) -> str:
    """The folder of a layer, or the file that stands beside its folders: data.files, data.errors."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_the_rooms_of_a_layer_import_one_way(layer: str) -> None:
    modules = {".".join(path.with_suffix("").parts): path for path in FILES if path.parts[0] == layer}
    below: dict[str, set[str]] = {}
    for module, path in modules.items():
        # sections of the configuration are values without behaviour: any room may read them
        named = {name for name in imports(path) if name in modules and not name.endswith("config")}
        below.setdefault(room(module), set()).update(map(room, named))
    for own, others in below.items():
        others.discard(own)
    TopologicalSorter(below).prepare()  # raises CycleError, with the rooms of the circle


def test_no_benchmarks_import_each_other_in_a_circle() -> None:
    paths = [path.relative_to(ROOT) for path in (ROOT / "benchmarks").rglob("*.py")]
    modules = {".".join(path.with_suffix("").parts): path for path in paths}
    TopologicalSorter({name: set(imports(path)) & modules.keys() for name, path in modules.items()}).prepare()


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] != "stages"], ids=str)
def test_only_stages_import_torch(path: Path) -> None:
    for module in imports(path):
        assert module.partition(".")[0] not in NO_TORCH, f"{path} imports {module}"


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_the_map_of_the_house_names_every_room_as_it_names_itself(layer: str) -> None:
    house = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    for package in sorted((ROOT / layer).glob("*/__init__.py")):
        said = (ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or "").splitlines()[0]
        assert f"| `{layer}/{package.parent.name}` | {said} |" in house


def test_the_map_of_the_house_leads_to_files_that_are_there() -> None:
    house = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    named = re.findall(r"\]\(([^)]+)\)", house) + [
        f"../{path}" for path in re.findall(r"`((?:data|stages|pipeline)/[\w/]+(?:\.py)?)`", house)
    ]
    assert [name for name in named if not (ROOT / "docs" / name).exists()] == []
