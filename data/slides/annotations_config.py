"""Section `annotations`: how regions drawn by people label patches. Read without what reads the regions."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data.section import Section

ClassName = Annotated[str, Field(min_length=1, max_length=200)]


class AnnotationsConfig(Section):
    """Regions drawn by people, and the rule by which they label patches."""

    path: Annotated[
        Path,
        Field(
            description="a folder with one GeoJSON (.geojson, .json) or CSV of rectangles for each slide, named as the "
            "slide without its ending; or one CSV for all slides, with a column `slide`"
        ),
    ]
    unit: Annotated[
        Literal["px", "um"], Field(description="of the rectangles in CSV files: level-0 pixels or microns")
    ] = "px"
    rename: Annotated[
        dict[str, ClassName], Field(description="class in the files -> label of the patches; others keep their name")
    ] = Field(default_factory=dict)
    ignore: Annotated[
        list[str],
        Field(
            description="classes in the files (as written there) that label nothing; such as end in *, QuPath's "
            "Ignore* and Region*, label nothing unless they are renamed"
        ),
    ] = Field(default_factory=list)
    classes: Annotated[
        list[ClassName] | None,
        Field(min_length=1, description="labels there may be; another is refused by name; null: any"),
    ] = None
    min_share: Annotated[
        float, Field(gt=0, le=1, description="a patch has a class when at least this share of its area lies inside it")
    ] = 0.5
    ambiguous: Annotated[
        Literal["larger", "drop", "unlabelled"],
        Field(
            description="a patch with two classes: take the larger share (what lies in regions of both is the smaller "
            "ones' alone), leave the patch out, or give no label"
        ),
    ] = "larger"
    outside: Annotated[
        Literal["unlabelled", "drop"] | str,
        Field(description="a patch with no class: unlabelled, drop, or the name of the class it then has"),
    ] = "unlabelled"
    missing: Annotated[
        Literal["refuse", "outside", "unlabelled"],
        Field(description="a slide without an annotation file: refuse it, apply `outside`, or leave it unlabelled"),
    ] = "unlabelled"

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not self.outside:
            raise ValueError("outside is empty: unlabelled, drop, or the name of a class")
        if both := sorted(set(self.ignore) & set(self.rename)):
            raise ValueError(f"class {both[0]!r} is both ignored and renamed")
        if self.classes is not None:
            given = {*self.rename.values(), self.outside} - {"unlabelled", "drop"}
            if unknown := sorted(given - set(self.classes)):
                raise ValueError(f"{unknown[0]!r} is not among classes: {', '.join(self.classes)}")
        return self
