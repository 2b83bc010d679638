"""A file or module of ours that a text names is there: comments and pages follow what is moved."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("data", "stages", "pipeline", "benchmarks", "tests")
EXAMPLES = {"stages/select/rules/surest.py", "data/readers/named.py", "data/x.py", "stages/x.py"}  # of files to write
PATH = re.compile(rf"(?<![\w/.*-])(?:{'|'.join(ROOMS)})/[\w/]+\.py\b")
MODULE = re.compile(rf"(?<![\w/.-])(?:{'|'.join(ROOMS)})(?:\.[a-z_]\w*){{2,}}")


def texts() -> Iterator[Path]:
    for room in ROOMS:
        yield from (ROOT / room).rglob("*.py")
    yield from (ROOT / "docs").glob("*.md")
    yield from (ROOT / name for name in ("README.md", "Makefile", "pyproject.toml", "run_chain.py"))


def is_there(module: str) -> bool:
    """Whether it is a module of ours, or one with the name of something in it."""
    parts = module.split(".")
    if not (ROOT / parts[0] / parts[1]).is_dir():
        return True  # a key of the configuration, or what a variable of that name holds
    for count in range(len(parts), 1, -1):
        place = ROOT.joinpath(*parts[:count])
        source = place.with_suffix(".py") if place.with_suffix(".py").is_file() else place / "__init__.py"
        if source.is_file() or place.is_dir():
            return count == len(parts) or (source.is_file() and parts[count] in source.read_text(encoding="utf-8"))
    return False


def test_what_is_named_is_there() -> None:
    gone = []
    for path in texts():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            named = [found for found in PATH.findall(line) if found not in EXAMPLES and not (ROOT / found).is_file()]
            named += [found for found in MODULE.findall(line) if not is_there(found)]
            gone += [f"{path.relative_to(ROOT)}:{number}: {found}" for found in named]
    assert not gone, "\n".join(gone)
