"""The embedded default: H&E-like patches drawn on demand, five tissues, many patients, no downloads.

Every patch is a function of (seed, patient, index) alone: order, threads and the number of patients change nothing.
Every record carries its label; hiding labels is the work of the splits.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from data.keys import generator
from data.readers.base import Reader, Record
from data.synthetic.canvas import Canvas, smooth_noise
from data.synthetic.stain import Stain, patient_stain, photograph, slide_stain
from data.synthetic.tissues import TISSUES, Tissue, add_artefacts, draw_tissue

FIELD_UM = 72.0  # the side of a field at the nominal magnification


def _distinct(classes: list[Tissue]) -> list[Tissue]:
    if len(set(classes)) != len(classes):
        raise ValueError("a class is named twice")
    return classes


class Synthetic(Reader):
    """Patches drawn like H&E: the same tissues in every patient, every patient in stains of their own."""

    kind: Literal["synthetic"] = "synthetic"
    seed: Annotated[int, Field(ge=0, description="another seed is another set of patients")] = 0
    patients: Annotated[int, Field(ge=1, le=9999)] = 30
    patches_per_patient: Annotated[int, Field(ge=1, le=999_999)] = 200
    size_px: Annotated[int, Field(ge=16, le=1024, description="resolution; the field of view stays the same")] = 48
    classes: Annotated[
        list[Tissue], Field(min_length=2, default_factory=lambda: list(TISSUES)), AfterValidator(_distinct)
    ]
    mixed: Annotated[float, Field(ge=0, le=1, description="share of patches with another tissue along one side")] = 0.45

    def records(self) -> Iterator[Record]:
        """Patients in order, their patches in order; classes take turns, two slides a patient."""
        for patient in range(self.patients):
            who = f"p{patient:02d}"
            for index in range(self.patches_per_patient):
                yield Record(
                    key=f"{who}/{index:04d}",
                    label=self.classes[index % len(self.classes)],
                    patient=who,
                    slide=f"{who}-s{_slide_of(index, len(self.classes))}",
                )

    def content(self, record: Record) -> np.ndarray:
        """(S, S, 3) uint8 RGB of one record."""
        patient, index = (int(part) for part in record.key.removeprefix("p").split("/"))
        rng = generator("synthetic", self.seed, patient, index)
        tissue = self.classes[index % len(self.classes)]
        field_um = FIELD_UM * float(np.exp(rng.uniform(-0.18, 0.18)))
        canvas = draw_tissue(rng, tissue, self.size_px, field_um)
        if rng.random() < self.mixed:
            others = [other for other in self.classes if other != tissue]
            neighbour = draw_tissue(rng, others[int(rng.integers(len(others)))], self.size_px, field_um)
            canvas = _beside(rng, canvas, neighbour)
        add_artefacts(rng, canvas)
        return photograph(rng, canvas, _stain(self.seed, patient, _slide_of(index, len(self.classes))))


def _slide_of(index: int, classes: int) -> int:
    # all classes take a turn before the slide changes: neither slide lacks a class
    return 1 + index // classes % 2


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
