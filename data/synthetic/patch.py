"""One drawn patch: a tissue, often with another along one side, artefacts, and the stain of its patient and slide."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from data.keys import generator
from data.synthetic.canvas import Canvas, smooth_noise
from data.synthetic.stain import Stain, patient_stain, photograph, slide_stain
from data.synthetic.tissue_names import Tissue
from data.synthetic.tissues import add_artefacts, draw_tissue

FIELD_UM = 72.0  # the side of a field at the nominal magnification


def drawn(
    seed: int, patient: int, slide: int, index: int, classes: Sequence[Tissue], size_px: int, mixed: float
) -> np.ndarray:
    """(S, S, 3) uint8 RGB of a patient's patch `index`, whose tissue is the one of `classes` whose turn it is.

    mixed: the chance of another tissue along one side.
    """
    rng = generator("synthetic", seed, patient, index)
    tissue = classes[index % len(classes)]
    field_um = FIELD_UM * float(np.exp(rng.uniform(-0.18, 0.18)))
    canvas = draw_tissue(rng, tissue, size_px, field_um)
    if rng.random() < mixed:
        others = [other for other in classes if other != tissue]
        neighbour = draw_tissue(rng, others[int(rng.integers(len(others)))], size_px, field_um)
        canvas = _beside(rng, canvas, neighbour)
    add_artefacts(rng, canvas)
    return photograph(rng, canvas, _stain(seed, patient, slide))


@lru_cache(maxsize=4096)
def _stain(seed: int, patient: int, slide: int) -> Stain:
    habit = patient_stain(generator("synthetic-stain", seed, patient))
    return slide_stain(generator("synthetic-slide", seed, patient, slide), habit)


def _beside(rng: np.random.Generator, canvas: Canvas, neighbour: Canvas) -> Canvas:
    """`canvas` with `neighbour` along one side, over at most a third of the field."""
    size = canvas.size_px
    angle = rng.uniform(0, 2 * np.pi)
    steps = np.linspace(-1, 1, size, dtype=np.float32)
    ramp = np.cos(angle) * steps[None, :] + np.sin(angle) * steps[:, None] + 0.6 * smooth_noise(rng, size, 5)
    there = ramp > np.quantile(ramp, 1 - rng.uniform(0.1, 0.33))
    return Canvas(
        np.where(there, neighbour.haematoxylin, canvas.haematoxylin),
        np.where(there, neighbour.eosin, canvas.eosin),
        canvas.field_um,
    )
