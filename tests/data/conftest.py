"""Patches of known pixels, and ways to lay them out."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.config import DataConfig


def _smooth(seed: int, size: int = 16, channels: int = 3, dtype: str = "u1") -> np.ndarray:
    """(S, S, C): blocks of 4 px, so that JPEG compresses them well and every seed differs."""
    rng = np.random.default_rng(seed)
    high = np.iinfo(dtype).max
    small = rng.integers(0, high, (-(-size // 4), -(-size // 4), channels), dtype=dtype, endpoint=True)
    return small.repeat(4, 0).repeat(4, 1)[:size, :size]


def _encode(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(out, form, **options)
    return out.getvalue()


@pytest.fixture
def patch() -> Callable[..., np.ndarray]:
    return _smooth


@pytest.fixture
def encode() -> Callable[..., bytes]:
    return _encode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of four JPEG patches, `A/p0_0.jpg` ... of patients p0 and p1."""
    root = tmp_path / "patches"
    for number, label in enumerate("AB"):
        (root / label).mkdir(parents=True)
        for i in range(4):
            (root / label / f"p{i % 2}_{i}.jpg").write_bytes(_encode(_smooth(10 * number + i), "JPEG"))
    return root


@pytest.fixture
def config() -> Callable[..., DataConfig]:
    """A data section of one or several sources given as plain values, as a configuration file would."""

    def make(*sources: dict[str, Any], **keys: Any) -> DataConfig:
        plain = {"size_px": 16, "sources": list(sources), **keys}
        return DataConfig.model_validate_json(json.dumps(plain, default=str))

    return make
