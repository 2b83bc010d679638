"""Five tissues, told apart by shape and arrangement; their colours overlap on purpose.

Each function draws one field of its tissue. What differs within a tissue (cell density, eosin, magnification,
infiltration, artefacts) spans about the same amounts of dye in all five, so colour alone decides little; fibres,
lymphocytes, red cells and clefts are found in several, so no single mark decides either.
"""

from collections.abc import Callable

import numpy as np

from data.synthetic.canvas import Canvas, fill, outlines, rotation, scattered, smooth_noise, trace, wash
from data.synthetic.tissue_names import Tissue


def draw_tissue(rng: np.random.Generator, tissue: Tissue, size_px: int, field_um: float) -> Canvas:
    """One field of `tissue`: a fresh canvas of (S, S) planes."""
    canvas = Canvas.blank(size_px, field_um)
    _DRAW[tissue](rng, canvas)
    return canvas


def _tumour(rng: np.random.Generator, canvas: Canvas) -> None:
    """Large, crowded, uneven nuclei with open chromatin: in sheets, in nests, or piled up around a ragged lumen."""
    field, scale = canvas.field_um, canvas.px_per_um
    eosin = rng.uniform(0.25, 0.6)
    size = rng.uniform(3.2, 4.4)
    pattern = rng.random()
    places = scattered(rng, field, size * rng.uniform(2.1, 2.9), jitter=0.6)
    angle = rng.uniform(0, np.pi, len(places))
    if pattern < 0.3:
        _ground(rng, canvas, eosin)
    elif pattern < 0.6:
        _fibres(rng, canvas, rng.uniform(0, np.pi), rng.uniform(2.5, 5), eosin)
        nests = smooth_noise(rng, 16, 4)
        row, column = np.clip(places / field * 16, 0, 15).astype(int).T
        there = nests[column, row] > np.quantile(nests, rng.uniform(0.2, 0.55))
        places, angle = places[there], angle[there]
    else:
        _ground(rng, canvas, eosin)
        centre = rng.uniform(0.15, 0.85, 2) * field
        ragged = outlines(rng, centre[None], rng.uniform(6, 13), rng.uniform(1, 2.5), rng.uniform(0, np.pi), 0.2)
        fill(canvas.eosin, ragged, [eosin * rng.uniform(0, 0.9)], scale)
        fill(canvas.haematoxylin, ragged, [0.04], scale)
        away = places - centre
        nearest = np.linalg.norm(places[:, None] - ragged[0][None], axis=2).min(axis=1)
        lumen = np.linalg.norm(ragged[0] - centre, axis=1).mean()
        outside = (nearest > size * 1.1) & (np.linalg.norm(away, axis=1) > lumen)
        places, away = places[outside], away[outside]
        angle = np.arctan2(away[:, 1], away[:, 0]) + rng.normal(0, 0.4, len(places))
    n = len(places)
    body = outlines(rng, places, size * np.exp(rng.normal(0, 0.2, n)), rng.uniform(1.0, 1.9, n), angle, 0.07)
    chromatin = rng.uniform(0.4, 0.8) + rng.normal(0, 0.08, n)
    fill(canvas.haematoxylin, body, chromatin, scale)
    trace(canvas.haematoxylin, body, chromatin + rng.uniform(0, 0.2), 0.8, scale, closed=True)
    nucleoli = outlines(rng, places + rng.normal(0, 1, (n, 2)), 0.9)[:: int(rng.integers(1, 5))]
    bright = chromatin.mean() + 0.2 if n else 0.0  # a small field may be all lumen
    fill(canvas.haematoxylin, nucleoli, np.full(len(nucleoli), bright), scale)
    _strew(rng, canvas, int(rng.integers(0, 10)))


def _gland(rng: np.random.Generator, canvas: Canvas) -> None:
    """Regular crypts: open lumen, goblet vacuoles, one even ring of small nuclei at the base."""
    _fibres(rng, canvas, rng.uniform(0, np.pi), rng.uniform(2.5, 6), rng.uniform(0.25, 0.6))
    _strew(rng, canvas, int(rng.integers(0, 25)))
    radius = rng.uniform(15, 27)
    first = rng.uniform(0.12, 0.88, 2) * canvas.field_um
    heading = rng.uniform(0, 2 * np.pi)
    second = first + (2.15 * radius + rng.uniform(0, 6)) * np.array([np.cos(heading), np.sin(heading)])
    for centre in (first, second):
        _crypt(rng, canvas, centre, radius * rng.uniform(0.85, 1.15))


def _crypt(rng: np.random.Generator, canvas: Canvas, centre: np.ndarray, radius: float) -> None:
    scale = canvas.px_per_um
    aspect, angle = rng.uniform(1.0, 1.9), rng.uniform(0, np.pi)
    wall = outlines(rng, centre[None], radius, aspect, angle, 0.03)
    cytoplasm = rng.uniform(0.25, 0.6)
    fill(canvas.eosin, wall, [cytoplasm], scale)
    fill(canvas.haematoxylin, wall, [rng.uniform(0.05, 0.25)], scale)
    stretch = np.array([np.sqrt(aspect), 1 / np.sqrt(aspect)])

    def ring(at: float, spacing_um: float) -> tuple[np.ndarray, np.ndarray]:
        n = max(5, int(2 * np.pi * at * radius / spacing_um))
        turn = np.linspace(0, 2 * np.pi, n, endpoint=False) + rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.8 / n, n)
        flat = np.stack([np.cos(turn), np.sin(turn)], axis=1) * stretch @ rotation(angle)
        outward = np.stack([np.cos(turn), np.sin(turn)], axis=1) / stretch @ rotation(angle)
        return centre + flat * at * radius, np.arctan2(outward[:, 1], outward[:, 0])

    goblets, facing = ring(0.62, rng.uniform(6, 10))
    pale = outlines(rng, goblets, rng.uniform(2.0, 3.4), 1.5, facing, 0.04)
    fill(canvas.eosin, pale, np.full(len(pale), cytoplasm * rng.uniform(0.2, 1.1)), scale)
    fill(canvas.haematoxylin, pale, np.full(len(pale), rng.uniform(0.03, 0.3)), scale)
    lumen = outlines(rng, centre[None], radius * rng.uniform(0.05, 0.4), aspect, angle, 0.08)
    fill(canvas.eosin, lumen, [cytoplasm * rng.uniform(0, 0.9)], scale)
    fill(canvas.haematoxylin, lumen, [rng.uniform(0, 0.1)], scale)
    size = rng.uniform(2.2, 3.1)
    nuclei, facing = ring(0.88, size * rng.uniform(1.7, 2.6))
    n = len(nuclei)
    body = outlines(rng, nuclei, size * np.exp(rng.normal(0, 0.08, n)), rng.uniform(1.2, 1.9), facing, 0.04)
    fill(canvas.haematoxylin, body, rng.uniform(0.5, 0.95) + rng.normal(0, 0.06, n), scale)


def _stroma(rng: np.random.Generator, canvas: Canvas) -> None:
    """Wavy collagen with spindle nuclei along the fibres, sparse or cellular, more or less infiltrated."""
    courses = _fibres(rng, canvas, rng.uniform(0, np.pi), rng.uniform(2.5, 6), rng.uniform(0.25, 0.6))
    n = int(rng.integers(8, 60))
    line, place = rng.integers(0, len(courses), n), rng.integers(1, courses.shape[1] - 1, n)
    along = courses[line, place + 1] - courses[line, place - 1]
    body = outlines(
        rng,
        courses[line, place] + rng.normal(0, 2, (n, 2)),
        rng.uniform(2.2, 3.4) * np.exp(rng.normal(0, 0.12, n)),
        rng.uniform(2.0, 3.0) + rng.uniform(0, 1.6, n),
        np.arctan2(along[:, 1], along[:, 0]) + rng.normal(0, 0.2, n),
        0.06,
    )
    fill(canvas.haematoxylin, body, rng.uniform(0.45, 0.9) + rng.normal(0, 0.08, n), canvas.px_per_um)
    _strew(rng, canvas, int(rng.integers(0, 18)))


def _lymphocytes(rng: np.random.Generator, canvas: Canvas) -> None:
    """Small, round, dark nuclei of one size, packed or loosened, over more or less fibre."""
    if rng.random() < 0.6:
        _fibres(rng, canvas, rng.uniform(0, np.pi), rng.uniform(2.5, 6), rng.uniform(0.25, 0.6))
    else:
        _ground(rng, canvas, rng.uniform(0.25, 0.6))
    size = rng.uniform(2.4, 3.1)
    places = scattered(rng, canvas.field_um, size * rng.uniform(2.3, 3.4), jitter=0.6)
    places = places[: int(len(places) * rng.uniform(0.4, 1.0))]
    n = len(places)
    body = outlines(rng, places, size * np.exp(rng.normal(0, 0.07, n)), rng.uniform(1, 1.25, n), 0.0, 0.04)
    fill(canvas.haematoxylin, body, rng.uniform(0.5, 0.9) + rng.normal(0, 0.08, n), canvas.px_per_um)


def _necrosis(rng: np.random.Generator, canvas: Canvas) -> None:
    """Granular debris: nuclear dust of every size, ghosts of nuclei, no order."""
    field, scale = canvas.field_um, canvas.px_per_um
    _ground(rng, canvas, rng.uniform(0.25, 0.6))
    ghosts = scattered(rng, field, rng.uniform(6, 12), jitter=0.9)
    n = len(ghosts)
    body = outlines(rng, ghosts, rng.uniform(2.2, 4.5, n), rng.uniform(1, 2, n), rng.uniform(0, np.pi, n), 0.12)
    fill(canvas.haematoxylin, body, rng.uniform(0.2, 0.6) + rng.normal(0, 0.12, n), scale)
    n = int(rng.integers(30, 160))
    dust = outlines(
        rng,
        rng.uniform(0, field, (n, 2)),
        np.minimum(0.8 * np.exp(rng.normal(0.2, 0.5, n)), 2.8),
        rng.uniform(1, 2, n),
        rng.uniform(0, np.pi, n),
        0.15,
    )
    fill(canvas.haematoxylin, dust, rng.uniform(0.4, 0.9, n), scale)


def _ground(rng: np.random.Generator, canvas: Canvas, eosin: float) -> None:
    """Cytoplasm and matrix without direction, more or less granular."""
    size = canvas.size_px
    grain = rng.uniform(0, 0.5)
    noise = (1 - grain) * smooth_noise(rng, size, 8) + grain * smooth_noise(rng, size, 32)
    wash(canvas.eosin, eosin - 0.25, eosin + 0.25, noise)
    wash(canvas.haematoxylin, 0.0, rng.uniform(0.1, 0.3), smooth_noise(rng, size, 9))


def _fibres(rng: np.random.Generator, canvas: Canvas, angle: float, spacing_um: float, eosin: float) -> np.ndarray:
    """Draw wavy fibres along `angle` and return their courses (N, K, 2) in um."""
    wash(canvas.eosin, eosin - 0.25, eosin + 0.05, smooth_noise(rng, canvas.size_px, 6))
    wash(canvas.haematoxylin, 0.0, rng.uniform(0.1, 0.3), smooth_noise(rng, canvas.size_px, 7))
    reach = canvas.field_um * 0.72
    along = np.linspace(-reach, reach, 16)
    offset = np.arange(-reach, reach, spacing_um)
    offset = offset + rng.normal(0, spacing_um * 0.3, len(offset))
    wave = rng.uniform(1, 5) * np.sin(along / rng.uniform(5, 12) + rng.uniform(0, 6) + offset[:, None] / 25)
    flat = np.stack([np.broadcast_to(along, wave.shape), offset[:, None] + wave], axis=2)
    courses: np.ndarray = flat @ rotation(angle) + canvas.field_um / 2
    trace(canvas.eosin, courses, eosin + rng.uniform(-0.1, rng.uniform(0, 0.3), len(courses)), 1.6, canvas.px_per_um)
    return courses


def _strew(rng: np.random.Generator, canvas: Canvas, count: int) -> None:
    """Lymphocytes strewn over the field."""
    body = outlines(rng, rng.uniform(0, canvas.field_um, (count, 2)), rng.uniform(2.2, 2.8), 1.1)
    fill(canvas.haematoxylin, body, rng.uniform(0.5, 0.9, count), canvas.px_per_um)


def add_artefacts(rng: np.random.Generator, canvas: Canvas) -> None:
    """Red cells, clefts and a fold: what any field may hold, whatever its tissue."""
    field, scale = canvas.field_um, canvas.px_per_um
    red, clefts = int(rng.integers(0, 10)), int(rng.integers(0, 3))
    if rng.random() < 0.3:
        cells = outlines(rng, rng.normal(rng.uniform(0, field), 9, (red, 2)), 2.6, 1.2)
        fill(canvas.eosin, cells, rng.uniform(0.7, 1.0, red), scale)
        fill(canvas.haematoxylin, cells, np.full(red, 0.03), scale)
    if rng.random() < 0.3:
        places, turn = rng.uniform(0, field, (clefts, 2)), rng.uniform(0, np.pi, clefts)
        gaps = outlines(rng, places, rng.uniform(2.5, 7, clefts), rng.uniform(1, 5, clefts), turn, 0.15)
        for plane in (canvas.eosin, canvas.haematoxylin):
            fill(plane, gaps, np.full(clefts, 0.03), scale)


_DRAW: dict[Tissue, Callable[[np.random.Generator, Canvas], None]] = {
    "tumour": _tumour,
    "gland": _gland,
    "stroma": _stroma,
    "lymphocytes": _lymphocytes,
    "necrosis": _necrosis,
}
