"""The embedded default: H&E-like patches drawn on demand, five tissues, many patients, no downloads.

Every patch is a function of (seed, patient, index) alone: order, threads and the number of patients change nothing.
Every record carries its label; hiding labels is the work of the splits.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from data.patches.record import Record
from data.readers.base import Reader
from data.synthetic.tissue_names import TISSUES, Tissue


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
        from data.synthetic.patch import drawn  # here: who only reads a configuration needs no OpenCV

        patient, index = (int(part) for part in record.key.removeprefix("p").split("/"))
        where = (self.seed, patient, _slide_of(index, len(self.classes)), index)
        return drawn(*where, self.classes, self.size_px, self.mixed)


def _slide_of(index: int, classes: int) -> int:
    # all classes take a turn before the slide changes: neither slide lacks a class
    return 1 + index // classes % 2
