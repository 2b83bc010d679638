"""The thumbnail of a slide with what was made of it: tissue outline, annotated regions, patches coloured by label."""

import io
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import shapely
from PIL import Image, ImageDraw, ImageFont

from data.printable import shortened
from data.slides.annotations import Annotations

LONGEST_PX = 1600
_TISSUE = (0, 130, 60)
_UNLABELLED = (90, 90, 90)
# told apart on pink, brown and blue tissue, and by people who see few colours (after Okabe and Ito, 2008)
_COLOURS = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (240, 190, 0),
    (86, 180, 233), (140, 20, 90), (120, 90, 30), (0, 0, 0),
)  # fmt: skip
_ROW_PX, _MARGIN_PX = 20, 6
_MOST_ROWS = 24


def picture(
    thumbnail: np.ndarray,
    downsample: float,
    mask: np.ndarray | None,
    xy_px: np.ndarray,
    side_px: float,
    labels: Sequence[str],
    annotations: Annotations | None = None,
) -> bytes:
    """JPEG bytes (a function of the arguments alone), longest side at most LONGEST_PX, a legend below.

    thumbnail: (H, W, 3) uint8 RGB; downsample: level-0 pixels a thumbnail pixel; mask: (H', W') bool over the same
    area, any size; xy_px: (N, 2) level-0 top-left; side_px: level-0 side; labels: N texts, "" none.
    """
    assert len(labels) == len(xy_px)
    shrink = min(1.0, (LONGEST_PX - _ROW_PX) / max(thumbnail.shape[:2]))
    size = tuple(max(1, round(length * shrink)) for length in thumbnail.shape[1::-1])
    image = np.ascontiguousarray(
        thumbnail if shrink == 1 else cv2.resize(thumbnail, size, interpolation=cv2.INTER_AREA)
    ).copy()
    per_px = downsample * thumbnail.shape[1] / size[0]
    named = sorted({*labels, *(annotations.shapes if annotations else ())} - {""})
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(named)} | {"": _UNLABELLED}
    _patches(image, xy_px / per_px, side_px / per_px, labels, colours)
    if mask is not None:
        _outline(image, mask)
    for name, shape in annotations.shapes.items() if annotations else ():
        cv2.polylines(image, _rings(shape, per_px), True, colours[name], 2, cv2.LINE_AA)
    counts = dict.fromkeys(named, 0)
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    rows = [(colours[name], f"{shortened(name or 'unlabelled', 40)}: {count:,}") for name, count in counts.items()]
    return _with_legend(image, rows)


def _patches(
    image: np.ndarray, xy: np.ndarray, side: float, labels: Sequence[str], colours: dict[str, tuple[int, int, int]]
) -> None:
    # squares are filled thinly and framed where they are large enough to be told apart
    low = np.floor(xy).astype(int)
    high = np.maximum(np.floor(xy + side).astype(int) - 1, low)
    tint = image.copy()
    for (x0, y0), (x1, y1), label in zip(low.tolist(), high.tolist(), labels, strict=True):
        tint[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = colours[label]
    cv2.addWeighted(tint, 0.25, image, 0.75, 0, dst=image)
    if side >= 4:
        for (x0, y0), (x1, y1), label in zip(low.tolist(), high.tolist(), labels, strict=True):
            cv2.rectangle(image, (x0, y0), (x1, y1), colours[label], 1)


def _outline(image: np.ndarray, mask: np.ndarray) -> None:
    fitted = cv2.resize(mask.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    lines, _ = cv2.findContours(fitted, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, lines, -1, _TISSUE, 2)


def _rings(shape: Any, per_px: float) -> list[np.ndarray]:
    rings = shapely.get_rings(shapely.get_parts(shape))
    # drawing takes 32-bit whole numbers
    return [np.clip(np.rint(shapely.get_coordinates(ring) / per_px), -1e6, 1e6).astype(np.int32) for ring in rings]


def _with_legend(image: np.ndarray, rows: list[tuple[tuple[int, int, int], str]]) -> bytes:
    font = ImageFont.load_default(13)
    if len(rows) > _MOST_ROWS:
        rows = [*rows[: _MOST_ROWS - 1], (_UNLABELLED, f"and {len(rows) - _MOST_ROWS + 1} more")]
    places, x, line = [], _MARGIN_PX, 0
    for _, text in rows:
        width = _ROW_PX + int(font.getlength(text)) + 2 * _MARGIN_PX
        if x > _MARGIN_PX and x + width > image.shape[1]:
            x, line = _MARGIN_PX, line + 1
        places.append((x, line))
        x += width
    height = (line + 1) * _ROW_PX + _MARGIN_PX if rows else 0
    if image.shape[0] + height > LONGEST_PX:
        fits = (LONGEST_PX - height) / image.shape[0]
        size = (max(1, round(image.shape[1] * fits)), max(1, LONGEST_PX - height))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    sheet = Image.new("RGB", (image.shape[1], image.shape[0] + height), "white")
    sheet.paste(Image.fromarray(image))
    draw = ImageDraw.Draw(sheet)
    for (colour, text), (x, line) in zip(rows, places, strict=True):
        top = image.shape[0] + line * _ROW_PX + _MARGIN_PX
        draw.rectangle((x, top, x + 12, top + 12), fill=colour)
        draw.text((x + _ROW_PX, top - 2), text, fill="black", font=font)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88)
    return out.getvalue()
