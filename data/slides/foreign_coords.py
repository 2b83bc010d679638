"""Coordinates that CLAM and TRIDENT have written, checked against the slide before a pixel is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from data.section import Section


class CoordinatesConfig(Section):
    """Patches cut by another tool, in place of a grid of our own."""

    path: Annotated[
        Path,
        Field(description="a folder of coordinate files of CLAM (`NAME.h5`) or TRIDENT (`NAME_patches.h5`), by slide"),
    ]
    beyond_edge: Annotated[
        Literal["refuse", "drop"],
        Field(
            description="patches that reach beyond the slide (both tools write some): refuse the slide, or drop them"
        ),
    ] = "refuse"


@dataclass(frozen=True)
class ForeignCoordinates:
    """xy_px: (N, 2) int64 level-0 top-left, row-major, each once; side_px: level-0 side; tool: clam or trident;
    facts: numbers and texts for facts.json.
    """

    xy_px: np.ndarray
    side_px: float
    tool: Literal["clam", "trident"]
    facts: dict[str, Any]


def coordinate_file(config: CoordinatesConfig, stem: str) -> Path:
    """The file of the slide with this stem. Raises ChainError (66 none, 65 two)."""
    raise NotImplementedError


def read_coordinates(
    path: Path, slide_size_px: tuple[int, int], downsamples: Sequence[float], beyond_edge: str = "refuse"
) -> ForeignCoordinates:
    """Read and check one file. slide_size_px: level-0 (width, height); downsamples: of the slide's levels.

    Raises ChainError (65) naming file, row or attribute: truncated, short, of another slide, outside the slide.
    """
    raise NotImplementedError
