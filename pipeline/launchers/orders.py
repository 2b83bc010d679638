"""The folder of a run directory through which rank 0 leads and the others follow, where others started them all."""

import contextlib
import json
from pathlib import Path
from typing import Any

FOLDER = ".ranks"
ORDER = "order.json"
LOOK_EVERY_S = 0.5
MEET_S = 600.0


def read_order(path: Path) -> dict[str, Any]:
    """What rank 0 has said last; {} where it has said nothing, or is just about to."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(path.read_bytes()))
    return {}
