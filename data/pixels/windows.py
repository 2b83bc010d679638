"""CT windows: which Hounsfield units become black and which white. Part of what a network's input is.

Level and width as in Radiopaedia's table of CT windows; the map is DICOM's LINEAR_EXACT (PS3.3 C.11.2.1.3.2).
"""

from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from data.section import Section

# name -> (level, width), HU
STANDARD: dict[str, tuple[float, float]] = {
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "soft_tissue": (50, 400),
    "abdomen": (50, 400),
    "liver": (30, 150),
    "brain": (40, 80),
    "stroke": (40, 40),
    "spine": (50, 250),
    "bone": (400, 1800),
    "temporal_bone": (600, 2800),
}


class Window(Section):
    """One window. In a configuration a standard name, `[level, width]`, or the mapping of both."""

    name: Annotated[str | None, Field(description="a standard name; null: a window of your own")] = None
    level_hu: Annotated[float, Field(ge=-2000, le=5000, description="the grey in the middle, HU")]
    width_hu: Annotated[float, Field(gt=0, le=10000, description="from black to white, HU")]

    @model_validator(mode="after")
    def _name_means_what_it_says(self) -> Self:
        if self.name is None:
            return self
        if self.name not in STANDARD:
            raise ValueError(_unknown(self.name))
        if STANDARD[self.name] != (self.level_hu, self.width_hu):
            level, width = STANDARD[self.name]
            raise ValueError(
                f"the window {self.name!r} is level {level:g}, width {width:g}: leave out the name of your own"
            )
        return self

    @property
    def shown(self) -> str:
        """As people write it: `lung [-600, 1500]`."""
        return f"{self.name + ' ' if self.name else ''}[{self.level_hu:g}, {self.width_hu:g}]"

    def jittered(self, level_share: float, width_share: float) -> "Window":
        """Another reader's setting of this window.

        The level is moved by `level_share` of the width, the width is scaled by 1 + width_share > 0.
        """
        # not validated: the bounds of a configuration are not those of its noise
        return Window.model_construct(
            name=None,
            level_hu=self.level_hu + level_share * self.width_hu,
            width_hu=self.width_hu * (1 + width_share),
        )


def _spell_out(value: Any) -> Any:
    if isinstance(value, str):
        if value not in STANDARD:
            raise ValueError(_unknown(value))
        level, width = STANDARD[value]
        return {"name": value, "level_hu": level, "width_hu": width}
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(f"a window is a name, or [level, width] in HU; not {len(value)} numbers")
        return {"level_hu": value[0], "width_hu": value[1]}
    return value


def _unknown(name: str) -> str:
    return f"no window is called {name!r}: one of {', '.join(STANDARD)}, or [level, width] in HU"


WindowSetting = Annotated[Window, BeforeValidator(_spell_out, json_schema_input_type=str | list[float] | Window)]


def windows_of(settings: Sequence[Any]) -> tuple[Window, ...]:
    """Windows from plain values: names, pairs (level, width), or what `Window.model_dump` gave. Raises ValueError."""
    if not isinstance(settings, list | tuple):
        raise ValueError(f"windows are a list, not {settings!r}")
    return tuple(Window.model_validate(_spell_out(setting)) for setting in settings)


def windowed(hu: np.ndarray, windows: Sequence[Window]) -> np.ndarray:
    """See patches through windows. hu: (S, S, D) int16 or float; returns (S, S, W * D) float32 in [0, 1].

    Channel w * D + d is slice d through window w: 0 at level - width / 2 and below, 1 at level + width / 2 and above.
    """
    assert windows, "HU mean nothing to a network without a window"
    depth = hu.shape[2]
    seen = np.empty((*hu.shape[:2], len(windows) * depth), np.float32)
    for number, window in enumerate(windows):
        part = seen[:, :, number * depth : (number + 1) * depth]
        np.multiply(hu, np.float32(1 / window.width_hu), out=part, casting="same_kind")
        part += np.float32(0.5 - window.level_hu / window.width_hu)
    return np.clip(seen, 0, 1, out=seen)
