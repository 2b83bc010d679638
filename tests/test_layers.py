"""Imports go one way: data <- stages <- pipeline <- run_chain.py; torch stays where tensors are."""

import ast
from collections.abc import Iterator
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


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_layer_imports_upwards(path: Path) -> None:
    own = LAYERS.index(path.parts[0].removesuffix(".py"))
    for module in imports(path):
        top = module.partition(".")[0]
        assert top not in LAYERS or LAYERS.index(top) <= own, f"{path} imports {module}"


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] != "stages"], ids=str)
def test_only_stages_import_torch(path: Path) -> None:
    for module in imports(path):
        assert module.partition(".")[0] not in NO_TORCH, f"{path} imports {module}"
