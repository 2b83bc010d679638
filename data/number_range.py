"""Which numbers are kept, in a configuration: `{min: 0.5}`."""

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from data.section import Section


class NumberRange(Section):
    """Numbers that are kept, the bounds among them. An unknown number is never kept."""

    min: Annotated[float | None, Field(description="least value kept; null: no bound")] = None
    max: Annotated[float | None, Field(description="greatest value kept; null: no bound")] = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing would be kept")
        return self

    def holds(self, values: np.ndarray | np.float64) -> np.ndarray:
        """(N,) float64 -> (N,) bool; a number alone -> whether it is kept."""
        kept: np.ndarray = ~np.isnan(np.asarray(values))
        if self.min is not None:
            kept = kept & (values >= self.min)
        if self.max is not None:
            kept = kept & (values <= self.max)
        return kept
