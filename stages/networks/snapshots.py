"""Earlier states of a model beside the finished one: what `agreement` asks whether a label was always the same."""

import re
from pathlib import Path

NAME = re.compile(r"snapshot-(\d+)\.safetensors")


def snapshot_name(place: int) -> str:
    """File of the `place`-th state before the finished one, 1 the latest."""
    return f"snapshot-{place}.safetensors"


def snapshots_of(directory: Path) -> list[Path]:
    """The earlier states a stage directory holds, the latest first."""
    found = {path: match for path in directory.iterdir() if (match := NAME.fullmatch(path.name))}
    return sorted(found, key=lambda path: int(found[path][1]))


def snapshot_steps(steps: int, count: int) -> list[int]:
    """At which steps `count` states are kept, rising: equal stretches, the last of which ends in the finished model."""
    return sorted({round(steps * k / (count + 1)) for k in range(1, count + 1)} - {0, steps})
