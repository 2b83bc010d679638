"""The label of each patch from the regions people drew: by the share of its area inside each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from data.slides.annotations import Annotations, AnnotationsConfig

_SAME_SHARE = 1e-9  # shares are quotients of areas: what differs by less is the same
_PIECE_POINTS = 128
_DEEPEST = 32  # a knot of points too close to divide is left as it is


def label_patches(
    xy_px: np.ndarray, side_px: float, annotations: Annotations, config: AnnotationsConfig
) -> tuple[list[str], np.ndarray]:
    """Labels of patches ("" for none) and (N,) bool: whether to keep each.

    xy_px: (N, 2) level-0 top-left; side_px: their level-0 side. A patch has a class when at least config.min_share of
    its area lies inside the union of the class's regions. Of two such classes the larger share wins, or as
    config.ambiguous says. What lies in regions of both is then the share of the smaller ones alone: a tumour drawn
    within an outline of all tissue is what people mean there. On a slide without annotations config.missing says what
    holds.
    """
    keep = np.ones(len(xy_px), bool)
    if not annotations.drawn and config.missing != "outside":
        return [""] * len(xy_px), keep
    names = sorted(annotations.shapes, key=lambda name: (annotations.shapes[name].area, name))
    shares = np.stack([area_shares(xy_px, side_px, annotations.shapes[name]) for name in names]) if names else None
    codes = np.full(len(xy_px), -1)
    if shares is not None:
        over = shares >= config.min_share - _SAME_SHARE
        count = over.sum(axis=0)
        codes = np.where(count > 0, over.argmax(axis=0), -1)
        several = np.flatnonzero(count > 1)
        if config.ambiguous == "drop":
            keep &= count < 2
        elif config.ambiguous == "unlabelled":
            codes[several] = len(names)
        elif len(several):
            seen = _seen_shares(xy_px[several], side_px, [annotations.shapes[name] for name in names])
            # rounding keeps equal shares equal, and argmax takes the first of them
            codes[several] = np.where(over[:, several], seen.round(9), -1).argmax(axis=0)
    none = codes < 0
    if config.outside == "drop":
        keep &= ~none
    rest = config.outside if config.outside not in ("unlabelled", "drop") else ""
    words = np.array([*names, "", rest], object)  # -1 is the last, len(names) the one before
    return list(words[codes]), keep


def _seen_shares(xy_px: np.ndarray, side_px: float, shapes: Sequence[Any]) -> np.ndarray:
    """(len(shapes), N) the share of each square's area inside each shape and none of those before it."""
    shares, before = [], shapely.Polygon()
    for shape in shapes:
        shares.append(area_shares(xy_px, side_px, shapely.difference(shape, before)))
        before = shapely.union(before, shape)
    return np.stack(shares)


def area_shares(xy_px: np.ndarray, side_px: float, shape: Any) -> np.ndarray:
    """(N,) float64: the share of each square's area inside a shapely shape. Seconds for 10^5 squares."""
    low = np.asarray(xy_px, np.float64)
    boxes = shapely.box(low[:, 0], low[:, 1], low[:, 0] + side_px, low[:, 1] + side_px)
    shapely.prepare(shape)
    touched = shapely.intersects(shape, boxes)
    shares = np.zeros(len(boxes))
    shares[touched] = shapely.covers(shape, boxes[touched])
    border = np.flatnonzero(touched & (shares == 0))
    if len(border):
        # an intersection costs what its shape has points: small pieces, found by a tree
        pieces = np.array(_pieces(shape), object)
        which, piece = shapely.STRtree(pieces).query(boxes[border], predicate="intersects")
        areas = shapely.area(shapely.intersection(boxes[border][which], pieces[piece]))
        shares[border] = np.clip(np.bincount(which, areas, len(border)) / side_px**2, 0, 1)
    return shares


def _pieces(shape: Any) -> list[Any]:
    """Parts that do not overlap and have few points each: halved across the longer side until they have."""
    small, todo = [], [(part, 0) for part in shapely.get_parts(shape)]
    while todo:
        part, depth = todo.pop()
        if shapely.get_num_coordinates(part) <= _PIECE_POINTS or depth == _DEEPEST:
            small.append(part)
            continue
        left, top, right, bottom = part.bounds
        if right - left >= bottom - top:
            middle = (left + right) / 2
            halves = shapely.box(left, top, middle, bottom), shapely.box(middle, top, right, bottom)
        else:
            middle = (top + bottom) / 2
            halves = shapely.box(left, top, right, middle), shapely.box(left, middle, right, bottom)
        todo += [
            (piece, depth + 1)
            for half in halves
            for piece in shapely.get_parts(shapely.intersection(part, half))
            if piece.geom_type == "Polygon" and piece.area > 0
        ]
    return small
