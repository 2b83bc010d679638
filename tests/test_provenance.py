"""Hidden truth is for judging: what trains, predicts, chooses or promotes cannot even name it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
HIDDEN = {"AuditLabels", "load_audit"}
ALLOWED = (
    "data/patches/labels.py",
    "data/splits/written.py",
    "stages/measures/quality.py",
    "stages/select/stage.py",
    "pipeline/",
)


def names(tree: ast.AST) -> set[str]:
    """Every name a module imports, uses or defines."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                found.add(name.rsplit(".", 1)[-1])
            case ast.Constant(value=str(text)):
                found |= {text} & HIDDEN  # getattr and import by text
    return found


def test_training_modules_do_not_import_audit():
    seen = 0
    for path in sorted(path for folder in ("data", "stages") for path in (ROOT / folder).rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        used = names(ast.parse(path.read_text())) & HIDDEN
        assert not used or place.startswith(ALLOWED), f"{place} names {', '.join(sorted(used))}"
        seen += bool(used)
    assert seen >= 2  # the walk does see those who may


def test_the_audit_file_is_named_by_its_reader_alone():
    for path in sorted(path for folder in ("data", "stages") for path in (ROOT / folder).rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        texts = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert "audit.parquet" not in texts or place == "data/splits/written.py", place
