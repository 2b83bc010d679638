"""A slide as its own patches show it: small, without the slide at hand. A volume as a row of axial sheets."""

import math
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

    With more patches than that one of each square of k x k is read and stands for all of them. Of a volume a patch is
    on the sheet nearest to it, and what is nearest to a sheet lies on top.
    """
    at = found.of(slide)
    x, y, side = found.x[at], found.y[at], found.side[at]
    x, y = x - x.min(), y - y.min()
    span_x, span_y = float((x + side).max()), float((y + side).max())
    across = down = 1
    heights: tuple[float, ...] = ()
    sheet, away = np.zeros(len(at), np.int64), np.zeros(len(at))
    if found.kind == VOLUME:
        levels = np.unique(found.z[at])
        chosen = levels[np.unique(np.rint(np.linspace(0, len(levels) - 1, min(SHEETS, len(levels)))).astype(int))]
        apart = np.abs(found.z[at][:, None] - chosen)
        sheet, away = apart.argmin(axis=1), apart.min(axis=1)
        across = min(ACROSS, len(chosen))
        down = -(-len(chosen) // across)
        heights = tuple(float(height) for height in chosen)
    sheet_x, sheet_y = (sheet % across) * span_x, (sheet // across) * span_y
    wide, high = span_x * across, span_y * down
    scale = min(LONGEST_PX / max(wide, high), CELL_PX / float(np.median(side)) if found.kind != VOLUME else np.inf)
    width, height = max(1, round(wide * scale)), max(1, round(high * scale))
    step, drawn = _drawn(sheet, x, y, side, away, most)
    canvas: np.ndarray | None = None
    for k in drawn:
        patch = pixels(int(found.row[at[k]]))
        patch = patch[:, : patch.shape[0]]  # of a CT patch the first window
        if canvas is None:
            canvas = np.full((height, width, patch.shape[2]), PAPER[patch.shape[2]], np.uint8)
        # stretched over its cell where it stands for others, but never onto the next sheet
        reach = float(side[k]) * step
        low_x, low_y = (float(v) // reach * reach if step > 1 else float(v) for v in (x[k], y[k]))
        ends = np.array([low_x, low_y, min(low_x + reach, span_x), min(low_y + reach, span_y)])
        _paste(canvas, patch, *((ends + np.tile([sheet_x[k], sheet_y[k]], 2)) * scale))
    assert canvas is not None
    jpeg = encoded(canvas, ".jpg")
    left, top = (x + sheet_x) * scale, (y + sheet_y) * scale
    return Mosaic(jpeg, width, height, found.row[at], left, top, side * scale, len(drawn), heights)


def _drawn(
    sheet: np.ndarray, x: np.ndarray, y: np.ndarray, side: np.ndarray, away: np.ndarray, most: int
) -> tuple[int, np.ndarray]:
    """How many patches wide a cell is, and which patches are drawn, in their order: the nearest to its sheet last."""
    nearest = np.argsort(away, kind="stable")
    most = max(most, SHEETS)  # a cell never spans two sheets
    step, drawn = 1, np.arange(len(x))
    if len(drawn) > most:
        # one of k x k holds at most k * k of them: below this step there are too many for certain
        step = math.ceil(math.sqrt(len(np.unique(_cells(sheet, x, y, side))) / most))
        while len(drawn) > most:
            drawn = np.sort(nearest[np.unique(_cells(sheet, x, y, side * step)[nearest], return_index=True)[1]])
            step += len(drawn) > most
    return step, drawn[np.argsort(-away[drawn], kind="stable")]


def _cells(sheet: np.ndarray, x: np.ndarray, y: np.ndarray, side: np.ndarray) -> np.ndarray:
    """(K,) a number of the square of that side in which each lies, on its sheet."""
    across, down = ((places // side).astype(np.int64) for places in (x, y))
    number: np.ndarray = (sheet * (int(across.max()) + 1) + across) * (int(down.max()) + 1) + down
    return number


def _paste(canvas: np.ndarray, patch: np.ndarray, left: float, top: float, right: float, bottom: float) -> None:
    x0, y0 = round(left), round(top)
    x1, y1 = min(max(round(right), x0 + 1), canvas.shape[1]), min(max(round(bottom), y0 + 1), canvas.shape[0])
    if x1 > x0 and y1 > y0:
        small = cv2.resize(patch, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        canvas[y0:y1, x0:x1] = small.reshape(y1 - y0, x1 - x0, canvas.shape[2])
