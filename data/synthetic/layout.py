"""Where what lies on a drawn slide: an irregular piece of tissue on glass, in it zones of the five tissues.

A zone is a mosaic of small cells, each one field of its tissue; zone borders are cell borders, so the annotation
is exactly what is drawn. Lengths are micrometres from the slide's top-left corner.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import Voronoi
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from data.synthetic.tissue_names import TISSUES, Tissue

CELL_UM = 64.0  # its square is then about the field a tissue is designed for (FIELD_UM of the embedded default)
_MARGIN = 0.05  # glass around the tissue, share of the slide's side


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of `tissue`, drawn in its own square (`left_um`, `top_um`, `side_um`), seen through `shape`."""

    index: int
    tissue: Tissue
    shape: BaseGeometry
    left_um: float
    top_um: float
    side_um: float


@dataclass(frozen=True, slots=True)
class SlideLayout:
    """A square slide: its tissue's outline, the cells from the top down, and each tissue's zone."""

    side_um: float
    outline: Polygon
    cells: tuple[Cell, ...]
    zones: dict[Tissue, BaseGeometry]


def lay_out(rng: np.random.Generator, side_um: float) -> SlideLayout:
    """Draw outline, zones and cells of one slide. Every tissue has a zone on it, of some 0.15 mm2."""
    zones_per_tissue = max(1, round((side_um / 1000) ** 2))
    outline = _outline(rng, side_um)
    shapes = _mosaic(rng, side_um)
    centres = shapely.get_coordinates(shapely.centroid(shapes))
    seeds = _spread(rng, outline, zones_per_tissue * len(TISSUES))
    tissue_of_seed = rng.permutation(np.arange(len(seeds)) % len(TISSUES))
    nearest = np.linalg.norm(centres[:, None] - seeds[None], axis=2).argmin(axis=1)
    seen = shapely.intersection(shapes, outline)
    cells: list[Cell] = []
    members: dict[Tissue, list[BaseGeometry]] = {tissue: [] for tissue in TISSUES}
    for index in np.flatnonzero(shapely.area(seen) > 1.0):
        tissue = TISSUES[tissue_of_seed[nearest[index]]]
        left, top, right, bottom = shapely.bounds(seen[index])
        cells.append(Cell(int(index), tissue, seen[index], left, top, max(right - left, bottom - top)))
        members[tissue].append(seen[index])
    cells.sort(key=lambda cell: (cell.top_um, cell.index))
    zones = {tissue: shapely.union_all(parts, grid_size=1e-3) for tissue, parts in members.items() if parts}
    return SlideLayout(side_um, outline, tuple(cells), zones)


def _outline(rng: np.random.Generator, side_um: float) -> Polygon:
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    lobes = np.arange(2, 9)
    depth, phase = rng.normal(0, 0.2, len(lobes)) / lobes, rng.uniform(0, 2 * np.pi, len(lobes))
    dents = depth @ np.cos(np.outer(lobes, turn) + phase[:, None])
    # between a circle and a square, as cuts of blocks are
    squared = (np.cos(turn) ** 4 + np.sin(turn) ** 4) ** -0.25
    reach = 0.43 * side_um * (1 + dents) * squared
    points = side_um / 2 + reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    polygon = Polygon(np.clip(points, _MARGIN * side_um, (1 - _MARGIN) * side_um))
    assert polygon.is_valid  # a star around its centre does not cross itself
    return polygon


def _mosaic(rng: np.random.Generator, side_um: float) -> np.ndarray:
    """(N,) Voronoi polygons of a jittered grid that cover the slide; the ring beyond its edge only bounds them."""
    steps = np.arange(-2, int(side_um / CELL_UM) + 4) * CELL_UM
    x, y = np.meshgrid(steps, steps)
    x[1::2] += CELL_UM / 2
    places = np.stack([x.ravel(), y.ravel()], axis=1) + rng.uniform(-0.25, 0.25, (x.size, 2)) * CELL_UM
    diagram = Voronoi(places)
    regions = [diagram.regions[region] for region in diagram.point_region]
    whole = [diagram.vertices[region] for region in regions if region and -1 not in region]
    within = [corners for corners in whole if np.abs(corners - side_um / 2).max() < side_um / 2 + 3 * CELL_UM]
    return np.array([Polygon(corners) for corners in within], dtype=object)


def _spread(rng: np.random.Generator, outline: Polygon, count: int) -> np.ndarray:
    """(count, 2) places in `outline`, each the farthest from those before among a few (Mitchell's best candidate)."""
    left, top, right, bottom = outline.bounds
    tried = rng.uniform((left, top), (right, bottom), (400, 2))
    inside = tried[shapely.contains_xy(outline, tried)]
    chosen = [inside[0]]
    for some in np.array_split(inside[1:], count - 1):
        away = np.linalg.norm(some[:, None] - np.array(chosen)[None], axis=2).min(axis=1)
        chosen.append(some[away.argmax()])
    return np.array(chosen)
