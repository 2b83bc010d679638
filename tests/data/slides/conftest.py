"""Slides written by hand, and ways to read them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.preparation import Unit
from data.slides.preparation import Slides


@pytest.fixture
def slides_config() -> Callable[..., Slides]:
    """A section as a configuration file would give it; the whole slide is tissue."""

    def make(path: Path, **keys: Any) -> Slides:
        plain = {"kind": "slides", "path": path, "mpp": 0.5, "size_px": 64, "tissue": {"everything": True}, **keys}
        return Slides.model_validate_json(json.dumps(plain, default=str))

    return make


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """The one slide of a section, prepared: the unit's directory and its facts."""

    def make(config: Slides, threads: int = 1, name: str = "unit") -> tuple[Path, dict[str, Any]]:
        (unit,) = config.units(b"")
        assert isinstance(unit, Unit), unit
        out = tmp_path / name
        out.mkdir()
        return out, config.prepare(unit, out, threads, lambda done, total: None, b"")

    return make
