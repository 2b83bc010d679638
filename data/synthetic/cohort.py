"""A folder of drawn slides as a user would have it: slides, a QuPath annotation file for each, a table.

DIR/slides/p00.tif  DIR/annotations/p00.geojson  DIR/slides.csv (file, patient, site)
"""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely

from data.files.atomic import replacing, write_bytes
from data.keys import generator, seed_of
from data.synthetic.layout import SlideLayout
from data.synthetic.slides import SlideSpec, write_slide

SITES = ("north", "south", "west")
_PEN_EVERY = 4
_COLOURS = {
    "tumour": [200, 0, 0],
    "gland": [150, 200, 150],
    "stroma": [120, 120, 220],
    "lymphocytes": [60, 20, 120],
    "necrosis": [50, 50, 50],
}


@dataclass(frozen=True, slots=True)
class Cohort:
    """How many patients, one slide each, and how large: `side_px` a multiple of 16, `mpp` of the largest level."""

    seed: int = 0
    patients: int = 40
    side_px: int = 2048
    mpp: float = 0.5

    def names(self) -> list[str]:
        """One name a slide; the slide file is `slides/NAME.tif`."""
        return [f"p{patient:02d}" for patient in range(self.patients)]


def draw_slide(directory: Path, cohort: Cohort, index: int) -> None:
    """Draw slide and annotation `index` into `directory`; what is there already is whole and is left."""
    cv2.setNumThreads(1)  # slides are drawn side by side, one a core
    name = cohort.names()[index]
    slide, annotation = directory / "slides" / f"{name}.tif", directory / "annotations" / f"{name}.geojson"
    if slide.exists() and annotation.exists():
        return
    for path in (slide, annotation):
        path.parent.mkdir(parents=True, exist_ok=True)
    spec = SlideSpec(cohort.seed, index, 1, cohort.side_px, cohort.mpp, pen=index % _PEN_EVERY == 1)
    with replacing(slide) as part:
        layout = write_slide(part, spec)
    write_bytes(annotation, json.dumps(annotations(layout, spec)).encode() + b"\n")


def write_table(directory: Path, cohort: Cohort) -> None:
    """Write `slides.csv`: file (relative to the folder of the slides), patient, site."""
    rng = generator("drawn-sites", cohort.seed)
    site = rng.permutation(np.arange(cohort.patients) % len(SITES))
    rows = [f"{name}.tif,{name},{SITES[site[index]]}" for index, name in enumerate(cohort.names())]
    write_bytes(directory / "slides.csv", "\n".join(["file,patient,site", *rows, ""]).encode())


def annotations(layout: SlideLayout, spec: SlideSpec) -> dict[str, Any]:
    """A QuPath FeatureCollection, in pixels of the largest level: one annotation for each zone of each tissue."""
    features: list[dict[str, Any]] = []
    for tissue, zone in layout.zones.items():
        for part in shapely.get_parts(zone):
            pixels = shapely.set_precision(shapely.transform(part, lambda um: um / spec.mpp), 0.01)
            features.append(
                {
                    "type": "Feature",
                    "id": str(uuid.UUID(int=seed_of("annotation", spec.seed, spec.patient, len(features)))),
                    "geometry": shapely.geometry.mapping(pixels),
                    "properties": {
                        "objectType": "annotation",
                        "classification": {"name": tissue, "color": _COLOURS[tissue]},
                    },
                }
            )
    return {"type": "FeatureCollection", "features": features}
