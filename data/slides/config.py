"""The section `prepare` with kind: slides: from whole slides to patches at a stated resolution."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from data.patches.read_off import Pattern
from data.pixels.modes import MAX_SIZE_PX
from data.preparation import Preparation
from data.slides.annotations_config import AnnotationsConfig
from data.slides.coordinates_config import CoordinatesConfig
from data.slides.grid import GridConfig
from data.slides.quality_config import QualityConfig
from data.slides.tissue_config import TissueConfig

Microns = Annotated[float, Field(ge=0.02, le=100)]  # per pixel


class SlidesConfig(Preparation):
    """Whole slides (every format OpenSlide opens) to patches of 8-bit RGB."""

    noun: ClassVar[tuple[str, str]] = ("slide", "slides")
    version: ClassVar[int] = 6
    # what these mean for a slide is in its fingerprint: its resolution and its patient
    not_of_a_unit: ClassVar[frozenset[str]] = Preparation.not_of_a_unit | {
        "missing_mpp",
        "allow_upsampling",
        "patient_pattern",
    }

    kind: Literal["slides"] = "slides"
    path: Annotated[Path, Field(description="the folder of slides, at any depth; or one slide")]
    pattern: Annotated[
        str, Field(min_length=1, description="which of them: a shell pattern of the path below the folder")
    ] = "*"
    table: Annotated[
        Path | None,
        Field(description="CSV, one row a slide: file (below `path`), and any of patient, site, label, split, mpp"),
    ] = None
    patient_pattern: Annotated[
        Pattern | None,
        Field(description="regular expression searched in the path below the folder; its one group is the patient"),
    ] = None
    mpp: Annotated[
        Microns | None,
        Field(description="microns per pixel of the patches; null with `coordinates`: as these say"),
    ] = None
    size_px: Annotated[int, Field(ge=1, le=MAX_SIZE_PX, description="side of a patch")]
    tolerance: Annotated[
        float,
        Field(ge=0, le=0.1, description="share by which a level may miss `mpp` and still be taken without resampling"),
    ] = 0.01
    missing_mpp: Annotated[
        Microns | None, Field(description="microns per level-0 pixel of slides that do not say; null: they are refused")
    ] = None
    allow_upsampling: Annotated[
        bool, Field(description="enlarge the pixels of slides that are coarser than `mpp`; false: they are refused")
    ] = False
    tissue: TissueConfig = TissueConfig()
    grid: GridConfig = GridConfig()
    coordinates: Annotated[
        CoordinatesConfig | None, Field(description="patches that CLAM or TRIDENT have cut, instead of a grid")
    ] = None
    annotations: Annotated[
        AnnotationsConfig | None, Field(description="regions that label patches; null: none are labelled by place")
    ] = None
    quality: QualityConfig = QualityConfig()
    encoding: Annotated[
        Literal["jpeg", "raw", "reference"],
        Field(
            description="jpeg: a slide's own JPEG tile as it is where it is exactly the patch, else encoded without "
            "subsampling; raw: pixels; reference: only where they lie, read from the slide during training"
        ),
    ] = "jpeg"
    jpeg_quality: Annotated[int, Field(ge=50, le=100, description="of encoding: jpeg")] = 95

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mpp is None and self.coordinates is None:
            raise ValueError("mpp is missing: state the microns per pixel of the patches, such as 0.5")
        if self.grid.overlap_px >= self.size_px:
            raise ValueError(f"grid.overlap_px: {self.grid.overlap_px} is not less than size_px: {self.size_px}")
        return self

    def patch_words(self) -> str:
        """What one patch is."""
        return f"{self.size_px} px" + (f" at {self.mpp:g} um/px" if self.mpp is not None else "")
