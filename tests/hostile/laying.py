"""What several kinds of cases lay out."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.hostile.case import Deed, Place


def png(size: int = 16, seed: int = 0) -> bytes:
    """A sound patch."""
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def good(folder: Path, count: int = 2) -> Path:
    """A folder of one class with sound patches."""
    (folder / "A").mkdir(parents=True)
    for number in range(count):
        (folder / "A" / f"good{number}.png").write_bytes(png(seed=number))
    return folder


def chain(place: Place, source: dict[str, Any], verb: str = "run") -> Deed:
    """The command line that reads this source."""
    config = {
        "rounds": 0,
        "data": {"size_px": 16, "sources": [{"name": "main", **source}]},
        "teacher": {"backbone": "test_resnet", "steps": 1},
        "select": {"rule": "top_k", "k": 1},
    }
    path = place.inside / "c.yaml"
    path.write_text(json.dumps(config, default=str))
    return [verb, path, *([place.run, "--threads", "1"] if verb == "run" else [])]
