"""When a student becomes the next teacher."""

from typing import Annotated, Literal

from pydantic import Field

from data.section import Section


class PromoteConfig(Section):
    """The gate: the student must not be worse on validation. Without a validation split every student passes."""

    metric: Literal["balanced_accuracy", "accuracy", "macro_f1"] = "balanced_accuracy"
    tolerance: Annotated[float, Field(ge=0, le=1, description="how much worse a student may be and still pass")] = 0.0
    gate: bool = Field(True, description="false: every student is promoted, and the record says so")
