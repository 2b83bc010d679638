"""Selection rules, one file each, found by their folder."""

import importlib
import pkgutil
from typing import get_args

from stages.select.rule import Rule


def members() -> dict[str, type[Rule]]:
    """Every rule in this folder by name. A file must define exactly one Rule whose `rule` is the file's name."""
    found: dict[str, type[Rule]] = {}
    for entry in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
        module = importlib.import_module(f"{__name__}.{entry.name}")
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Rule) and value.__module__ == module.__name__
        ]
        assert len(own) == 1, f"{module.__name__} must define one Rule, has {len(own)}"
        named = get_args(own[0].model_fields["rule"].annotation)
        assert named == (entry.name,), f'{module.__name__} must say rule: Literal["{entry.name}"]'
        found[entry.name] = own[0]
    return found
