"""A slide as its own patches show it: small, without the slide at hand. A volume as a row of axial sheets."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.report.patches import encoded
from pipeline.report.places import VOLUME, Places

LONGEST_PX = 640  # of the picture
CELL_PX = 24  # of a patch in it, at most
SHEETS = 6  # axial ones of a volume
ACROSS = 3
PAPER = {1: 0, 3: 246}  # CT is black where nothing was taken, a slide nearly white


@dataclass(frozen=True)
class Mosaic:
    """jpeg: the picture, of width x height px; left, top, side: (K,) of each patch in it, in its pixels.

    row: (K,) of the store; taken: how many patches were read to draw it; heights: of the sheets of a volume, mm.
    """

    jpeg: bytes
    width: int
    height: int
    row: np.ndarray
    left: np.ndarray
    top: np.ndarray
    side: np.ndarray
    taken: int
    heights: tuple[float, ...]


def mosaic(found: Places, slide: int, pixels: Callable[[int], np.ndarray], most: int) -> Mosaic:
    """Draw one slide from at most about `most` patches. pixels: store row -> (S, S', 1 or 3) uint8.

    With more patches than that one of each square of k x k is read and stands for all of them.
    """
    at = found.of(slide)
    x, y, side = found.x[at], found.y[at], found.side[at]
    x, y = x - x.min(), y - y.min()
    heights: tuple[float, ...] = ()
    span_x, span_y = float((x + side).max()), float((y + side).max())
    if found.kind == VOLUME:
        levels = np.unique(found.z[at])
        chosen = levels[np.unique(np.rint(np.linspace(0, len(levels) - 1, min(SHEETS, len(levels)))).astype(int))]
        sheet = np.abs(found.z[at][:, None] - chosen).argmin(axis=1)
        across = min(ACROSS, len(chosen))
        x, y = x + (sheet % across) * span_x, y + (sheet // across) * span_y
        span_x, span_y = span_x * across, span_y * (int(sheet.max()) // across + 1)
        heights = tuple(float(height) for height in chosen)
    scale = min(LONGEST_PX / max(span_x, span_y), CELL_PX / float(np.median(side)) if found.kind != VOLUME else np.inf)
    width, height = max(1, round(span_x * scale)), max(1, round(span_y * scale))
    step = _step(x, y, side, most)
    cells = np.stack([x // (side * step), y // (side * step)])
    _, first = np.unique(cells, axis=1, return_index=True)
    canvas: np.ndarray | None = None
    for k in np.sort(first):
        patch = pixels(int(found.row[at[k]]))
        patch = patch[:, : patch.shape[0]]  # of a CT patch the first window
        if canvas is None:
            canvas = np.full((height, width, patch.shape[2]), PAPER[patch.shape[2]], np.uint8)
        # stretched over its cell where it stands for others
        reach = float(side[k]) * step
        low_x, low_y = (float(v) // reach * reach if step > 1 else float(v) for v in (x[k], y[k]))
        _paste(canvas, patch, low_x * scale, low_y * scale, reach * scale)
    assert canvas is not None
    jpeg = encoded(canvas, ".jpg")
    return Mosaic(jpeg, width, height, found.row[at], x * scale, y * scale, side * scale, len(first), heights)


def _step(x: np.ndarray, y: np.ndarray, side: np.ndarray, most: int) -> int:
    step = 1
    while True:
        cells = np.stack([x // (side * step), y // (side * step)])
        if len(x) <= most or np.unique(cells, axis=1).shape[1] <= most:
            return step
        step += 1


def _paste(canvas: np.ndarray, patch: np.ndarray, left: float, top: float, side: float) -> None:
    x0, y0 = round(left), round(top)
    x1, y1 = min(max(round(left + side), x0 + 1), canvas.shape[1]), min(max(round(top + side), y0 + 1), canvas.shape[0])
    if x1 > x0 and y1 > y0:
        small = cv2.resize(patch, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        canvas[y0:y1, x0:x1] = small.reshape(y1 - y0, x1 - x0, canvas.shape[2])
