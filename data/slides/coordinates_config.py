"""Section `coordinates`: patches that another tool has placed. Read without what reads its files."""

from pathlib import Path
from typing import Annotated, Literal

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
        Field(description="patches that reach beyond the slide (both tools lay some): refuse the slide, or drop them"),
    ] = "refuse"
