"""Section `quality`: which columns of a patch are measured, and what they may be. Read without what measures them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data.number_range import NumberRange
from data.section import Section

Column = Literal["tissue", "sharpness", "stain_h", "stain_e"]


class QualityConfig(Section):
    """Columns measured of every patch, and which patches they keep."""

    measure: Annotated[bool, Field(description="measure sharpness and stain of every patch")] = True
    keep: Annotated[
        dict[Column, NumberRange],
        Field(description="leave out patches by a column: {sharpness: {min: 20}, tissue: {min: 0.5}}"),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if not self.measure and self.keep:
            raise ValueError("keep needs measure: true")
        return self
