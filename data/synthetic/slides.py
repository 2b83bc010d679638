"""Drawn slides: tissue in zones on glass, in its patient's stain, with dust and some with a pen mark.

A slide is a function of its `SlideSpec` alone and is drawn a strip at a time, so only the level below the largest is
ever whole in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import shapely

from data.keys import generator
from data.synthetic.canvas import Canvas, fixed_point, smooth_noise
from data.synthetic.layout import Cell, SlideLayout, lay_out
from data.synthetic.stain import patient_stain, slide_stain, transmitted
from data.synthetic.tiled_tiff import Level, halved, pyramid, stream_tiled_tiff, write_tiled_tiff
from data.synthetic.tissues import add_artefacts, draw_tissue

__all__ = ["SlideDrawing", "SlideSpec", "write_slide", "write_tiled_tiff"]

TILE_PX = 256
LEVELS = 4
_COARSE = 4  # what is smooth is kept at a quarter of the resolution
_BLUR_MARGIN_PX = 8
_FOCUS_UM = 1.5  # a stain's focus is in pixels of this size
_INKS = ((40, 60, 160), (30, 120, 60), (35, 35, 40), (170, 40, 45))


@dataclass(frozen=True, slots=True)
class SlideSpec:
    """Which slide: `side_px` a multiple of 16, `mpp` micrometres per pixel of the largest level."""

    seed: int = 0
    patient: int = 0
    slide: int = 1
    side_px: int = 3072
    mpp: float = 0.5
    pen: bool = False


class SlideDrawing:
    """One slide, drawn strip by strip from the top down."""

    def __init__(self, spec: SlideSpec) -> None:
        self.spec = spec
        self._keys = (spec.seed, spec.patient, spec.slide)
        rng = generator("drawn-slide", *self._keys)
        self.layout: SlideLayout = lay_out(rng, spec.side_px * spec.mpp)
        habit = patient_stain(generator("synthetic-stain", spec.seed, spec.patient))
        self._stain = slide_stain(generator("synthetic-slide", *self._keys), habit)
        side = spec.side_px // _COARSE
        waves = max(4, round(self.layout.side_um / 250))
        thickness = [np.exp(0.6 * (smooth_noise(rng, side, waves) - 0.5)) / 255 for _ in range(2)]
        self._thickness = np.stack(thickness, axis=2).astype(np.float32)
        self._dust = _dust(rng, side)
        self._pen = _pen(rng, side) if spec.pen else None
        self._ink = np.array(_INKS[int(rng.integers(len(_INKS)))], np.float32)
        self._fields: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def strip(self, top_px: int, height_px: int) -> np.ndarray:
        """(height_px, side_px, 3) uint8 RGB of the rows from `top_px`, a multiple of 4."""
        dye = cv2.GaussianBlur(self._dyes(top_px, height_px), (0, 0), self._stain.focus * _FOCUS_UM / self.spec.mpp)
        dye = dye[_BLUR_MARGIN_PX:-_BLUR_MARGIN_PX]
        light = transmitted(dye.astype(np.float32) * self._rows(self._thickness, top_px, height_px), self._stain)
        light *= self._rows(self._dust, top_px, height_px)[..., None]
        if self._pen is not None:
            cover = self._rows(self._pen, top_px, height_px)[..., None]
            light += cover * (self._ink - light)
        light += _noise(generator("slide-noise", *self._keys, top_px), light.shape)
        return np.asarray(cv2.convertScaleAbs(np.maximum(light, 0)), dtype=np.uint8)

    def _dyes(self, top_px: int, height_px: int) -> np.ndarray:
        """(height_px + margins, side_px, 2) uint8: haematoxylin and eosin, with a margin for the blur."""
        first, last = top_px - _BLUR_MARGIN_PX, top_px + height_px + _BLUR_MARGIN_PX
        dyes = np.zeros((last - first, self.spec.side_px, 2), np.uint8)
        for cell in self.layout.cells:
            left, top, side = self._square(cell)
            if top >= last or top + side <= first:
                if top + side <= first:
                    self._fields.pop(cell.index, None)
                continue
            field, seen = self._field(cell)
            rows = slice(max(first, top), min(last, top + side))
            columns = slice(max(0, left), min(self.spec.side_px, left + side))
            part = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
            there = dyes[rows.start - first : rows.stop - first, columns]
            np.copyto(there, field[part], where=seen[part][..., None] > 0)
        return dyes

    def _square(self, cell: Cell) -> tuple[int, int, int]:
        """Left, top and side of a cell's field in pixels; one pixel more all around than its shape."""
        left, top = int(cell.left_um / self.spec.mpp) - 1, int(cell.top_um / self.spec.mpp) - 1
        return left, top, int(cell.side_um / self.spec.mpp) + 4

    def _field(self, cell: Cell) -> tuple[np.ndarray, np.ndarray]:
        """The cell's dyes (S, S, 2) and where they are seen (S, S), both uint8; kept while strips need them."""
        if cell.index not in self._fields:
            side = self._square(cell)[2]
            rng = generator("drawn-slide-cell", *self._keys, cell.index)
            canvas = draw_tissue(rng, cell.tissue, side, side * self.spec.mpp * float(np.exp(rng.uniform(-0.18, 0.18))))
            add_artefacts(rng, canvas)
            self._fields[cell.index] = np.stack([canvas.haematoxylin, canvas.eosin], axis=2), self._seen(cell)
        return self._fields[cell.index]

    def _seen(self, cell: Cell) -> np.ndarray:
        left, top, side = self._square(cell)
        mask = Canvas.blank(side, side * self.spec.mpp)
        corner = np.array([left, top]) * self.spec.mpp
        for part in shapely.get_parts(cell.shape):
            if part.geom_type == "Polygon":
                outline = fixed_point(np.asarray(part.exterior.coords) - corner, mask.px_per_um)
                cv2.fillPoly(mask.eosin, [outline], 255, cv2.LINE_8, 4)
        return mask.eosin

    def _rows(self, coarse: np.ndarray, top_px: int, height_px: int) -> np.ndarray:
        """Rows `top_px` to `top_px + height_px` of a coarse map, at full resolution, without a seam between strips."""
        first = max(top_px // _COARSE - 2, 0)
        some = coarse[first : -(-(top_px + height_px) // _COARSE) + 2]
        whole = cv2.resize(some, (self.spec.side_px, len(some) * _COARSE), interpolation=cv2.INTER_LINEAR)
        return np.asarray(whole[top_px - first * _COARSE :][:height_px])


def write_slide(path: Path, spec: SlideSpec, quality: int = 90) -> SlideLayout:
    """Draw a slide of `LEVELS` levels into `path`; returns what lies where. Raises OSError when it cannot be done."""
    drawing = SlideDrawing(spec)
    half = np.empty((spec.side_px // 2, spec.side_px // 2, 3), np.uint8)

    def first(top_px: int, height_px: int) -> np.ndarray:
        strip = drawing.strip(top_px, height_px)
        half[top_px // 2 : (top_px + height_px) // 2] = halved(strip)
        return strip

    def levels() -> Iterator[Level]:
        yield Level(spec.side_px, spec.side_px, first)
        for level in pyramid(half, LEVELS - 1):  # filled by now: a level is written before the next is asked for
            yield Level(level.shape[1], level.shape[0], partial(_part, level))

    stream_tiled_tiff(path, levels(), spec.mpp, TILE_PX, quality)
    return drawing.layout


def _part(level: np.ndarray, top_px: int, height_px: int) -> np.ndarray:
    return level[top_px : top_px + height_px]


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """The scanner's, drawn for 64 rows and shifted for the next 64: nobody sees it, and it saves half the time."""
    rows = rng.standard_normal((min(64, shape[0]), *shape[1:]), dtype=np.float32) * 3
    return np.concatenate([np.roll(rows, 97 * i, axis=1) for i in range(-(-shape[0] // 64))])[: shape[0]]


def _dust(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) float32: the share of light that specks of dust let through, 1 where there is none."""
    clear = np.full((side, side), 255, np.uint8)
    for x, y, radius, grey in rng.integers([0, 0, 1, 205], [side, side, 3, 245], (40, 4)).tolist():
        cv2.circle(clear, (x, y), radius, grey, -1, cv2.LINE_AA)
    return clear.astype(np.float32) / 255


def _pen(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) float32 share of light that ink replaces: a stroke down one side of the glass."""
    along = np.linspace(rng.uniform(0.05, 0.2), rng.uniform(0.7, 0.95), 20)
    across = 0.03 + 0.012 * np.sin(along * rng.uniform(4, 9) + rng.uniform(0, 6))
    if rng.random() < 0.5:
        across = 1 - across
    stroke = np.stack([across, along] if rng.random() < 0.5 else [along, across], axis=1) * side
    cover = np.zeros((side, side), np.uint8)
    cv2.polylines(cover, [np.rint(stroke * 16).astype(np.int32)], False, 220, max(2, side // 30), cv2.LINE_AA, 4)
    return cover.astype(np.float32) / 255
