"""A folder of patches a class, and settings as small as they get."""

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.beside_others.setting import Setting

SMALL = Setting(
    size_px=16, labelled=4, validation=1, test=2, pool=3, rounds=1, teacher_batch=4, student_batch=4, teacher_epochs=1,
    student_epochs=1,
)  # fmt: skip


def classes(root: Path, each: int = 10, form: str = "png", side: int = 20) -> Path:
    """Two classes, no two patches alike."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (root / "set" / label).mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(root / "set" / label / f"{number}.{form}")
    return root
