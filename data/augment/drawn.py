"""What was drawn for a patch, apart from the pixels it is done to.

A draw needs a seed and a patch's shape and type, so drawing, which is Python, and disturbing, which is pixels, need not
happen in one place. `performed` does it here, by OpenCV. With `--noise-on device` the loader sends what it drew along
with the patches, as numbers, gathered by operation over a batch, and `stages.train.on_device` does it there. An
operation without numbers here is done by OpenCV alone, and before it what comes before it in that patch.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from data.augment.stain import mixing

KERNEL = 5  # the widest blur's


class Drawn(NamedTuple):
    """One operation for one patch: `apply(patch, **params)` is how OpenCV does it."""

    name: str
    apply: Callable[..., np.ndarray]
    params: dict[str, Any]


def performed(patch: np.ndarray, drawn: Sequence[Drawn]) -> np.ndarray:
    """The patch with everything done to it, in order; the patch itself where that is nothing."""
    for one in drawn:
        patch = np.ascontiguousarray(one.apply(patch, **one.params))
    return patch


def dealt(drawn: Sequence[Drawn]) -> tuple[Sequence[Drawn], Sequence[Drawn]]:
    """What OpenCV has to do, and what a device can do after it."""
    last = max((place for place, one in enumerate(drawn, start=1) if one.name not in NUMBERS), default=0)
    return drawn[:last], drawn[last:]


def gathered(drawn: Sequence[Sequence[Drawn]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By operation, in the order in which they are done: which patches (K,) int64, and its numbers (K, ...) float32.

    drawn: of every patch of a batch, what a device does.
    """
    rows: dict[str, list[int]] = {name: [] for name in NUMBERS}
    values: dict[str, list[np.ndarray]] = {name: [] for name in NUMBERS}
    for row, each in enumerate(drawn):
        for one in each:
            rows[one.name].append(row)
            values[one.name].append(np.asarray(NUMBERS[one.name](one.params), np.float32))
    return {name: (np.array(rows[name], np.int64), np.stack(values[name])) for name in NUMBERS if rows[name]}


def _centred(kernel: np.ndarray) -> np.ndarray:
    return np.pad(kernel, (KERNEL - len(kernel)) // 2)


def _hole(params: dict[str, Any]) -> list[float]:
    down, across = params["hole"]
    return [down.start, down.stop, across.start, across.stop, params["fill"]]


# operation -> its numbers, float32 each; in the order of both pipelines, that of colour and that of CT
NUMBERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "Stain": lambda params: mixing(params["mix"], params["shift"]),
    "HorizontalFlip": lambda params: (),
    "VerticalFlip": lambda params: (),
    "Turn": lambda params: params["factor"],
    "Slices": lambda params: params["order"],
    # from a place in the result to one in the patch
    "Affine": lambda params: cv2.invertAffineTransform(params["matrix"]),
    "Moved": lambda params: params["back"],
    "RandomResizedCrop": lambda params: params["crop_coords"],
    "Light": lambda params: (params["alpha"], params["beta"]),
    "GaussianBlur": lambda params: _centred(params["kernel"]),
    "Rescaled": lambda params: (params["factor"], params["offset"]),
    "Grain": lambda params: (params["place"], params["deviation"]),
    "Windowed": lambda params: [(1 / one.width_hu, 0.5 - one.level_hu / one.width_hu) for one in params["windows"]],
    "Cutout": _hole,
}
