"""Section `tissue`: how tissue is found on a thumbnail. Read without what finds it."""

from typing import Annotated

from pydantic import Field

from data.section import Section


class TissueConfig(Section):
    """How tissue is found on a thumbnail."""

    thumbnail_mpp: Annotated[
        float, Field(ge=0.5, le=100, description="microns per pixel of the thumbnail that is segmented")
    ] = 8.0
    everything: Annotated[bool, Field(description="take the whole slide for tissue; nothing below is used")] = False
    smooth_um: Annotated[float, Field(ge=0, le=500, description="Gaussian smoothing (sigma) before thresholding")] = (
        12.0
    )
    min_density: Annotated[
        float, Field(gt=0, le=2, description="optical-density chroma that is never exceeded by glass: the floor")
    ] = 0.05
    max_density: Annotated[
        float,
        Field(gt=0, le=2, description="optical-density chroma that is always tissue: the ceiling of Otsu's choice"),
    ] = 0.08
    min_area_mm2: Annotated[float, Field(ge=0, description="pieces of tissue smaller than this are dropped")] = 0.02
    max_hole_mm2: Annotated[float, Field(ge=0, description="holes in tissue smaller than this are filled")] = 0.01
    reject_pen: Annotated[
        bool, Field(description="leave out ink of a pen: blue, green, red, black; false for stains of such colours")
    ] = True
    pen_margin_um: Annotated[float, Field(ge=0, le=1000, description="also left out around ink")] = 30.0
