"""Sources of patches. A reader is one file in this folder, found by its folder; its `kind` is the file's name."""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from data.readers.base import Reader


def _discover() -> dict[str, type[Reader]]:
    found: dict[str, type[Reader]] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name == "base" or module.name.startswith("_"):
            continue
        members = vars(importlib.import_module(f"{__name__}.{module.name}")).values()
        readers = [
            m for m in members
            if isinstance(m, type) and issubclass(m, Reader) and m.__module__ == f"{__name__}.{module.name}"
        ]  # fmt: skip
        kinds = [reader.model_fields["kind"].default for reader in readers]
        assert kinds == [module.name], f"{module.name}.py must define one Reader of kind {module.name!r}, not {kinds}"
        found[module.name] = readers[0]
    return found


READERS: dict[str, type[Reader]] = _discover()

if TYPE_CHECKING:
    SourceConfig = Reader
else:
    SourceConfig = Annotated[Union[tuple(READERS.values())], Field(discriminator="kind")]  # noqa: UP007
