"""When a student becomes the next teacher."""

from typing import Annotated, Literal

from pydantic import Field

from data.section import Section


class PromoteConfig(Section):
    """The gate: the student must not be worse on validation. Without a validation split every student passes."""

    metric: Literal["balanced_accuracy", "accuracy", "macro_f1"] = "balanced_accuracy"
    tolerance: Annotated[float, Field(ge=0, le=1, description="how much worse a student may be and still pass")] = 0.0
    test: Literal["paired", "bare"] = Field(
        "paired",
        description="paired: resample the validation patients and ask how often the student is worse, and whether "
        "chance would not do as much; bare: compare the two figures, however few patches they come from",
    )
    worse_limit: Annotated[
        float,
        Field(ge=0.5, lt=1, description="paired: refused when worse, beyond the tolerance, more often than this"),
    ] = 0.8
    gate: bool = Field(True, description="false: every student is promoted, and the record says so")
