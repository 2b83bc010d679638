"""Section `quality`: which columns of a patch are measured, and what they may be. Read without what measures them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data.section import Section

Column = Literal["tissue", "sharpness", "stain_h", "stain_e"]


class Bounds(Section):
    """What a column may be."""

    min: Annotated[float | None, Field(description="least value kept; null: no bound")] = None
    max: Annotated[float | None, Field(description="greatest value kept; null: no bound")] = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing would be kept")
        return self


class QualityConfig(Section):
    """Columns measured of every patch, and which patches they keep."""

    measure: Annotated[bool, Field(description="measure sharpness and stain of every patch")] = True
    keep: Annotated[
        dict[Column, Bounds],
        Field(description="leave out patches by a column: {sharpness: {min: 20}, tissue: {min: 0.5}}"),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if not self.measure and self.keep:
            raise ValueError("keep needs measure: true")
        return self
