"""The noise policy, spelled out in the configuration: magnitudes in plain units, no hidden presets.

`noise: weak` in a configuration is short for the values below; the resolved configuration of a run
holds them all. Every operation keeps an H&E or CT label: no inversion, solarising, posterising,
equalising or hue rotation.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from data.section import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Noise(Section):
    """How training patches are disturbed. All zero and false: no noise."""

    flips: bool = Field(False, description="horizontal and vertical mirror images")
    quarter_turns: bool = Field(False, description="turns by 90, 180, 270 degrees")
    rotate_deg: Annotated[float, Field(ge=0, le=45, description="free rotation up to this angle, either way")] = 0.0
    scale: Annotated[float, Field(ge=0, le=0.5, description="zoom in or out by up to this share")] = 0.0
    shift: Annotated[float, Field(ge=0, le=0.5, description="move by up to this share of the side")] = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    stain: Annotated[
        float, Field(ge=0, le=0.5, description="optical-density jitter of haematoxylin and eosin (colour patches only)")
    ] = 0.0
    blur: Annotated[Share, Field(description="chance of a slight blur")] = 0.0
    grain: Annotated[Share, Field(description="chance of sensor noise")] = 0.0
    jpeg: Annotated[Share, Field(description="chance of recompression (8-bit patches only)")] = 0.0
    cutout: Annotated[Share, Field(description="side of one blanked square as a share of the patch's side")] = 0.0

    @property
    def is_none(self) -> bool:
        """Whether nothing is disturbed."""
        return self == Noise()


PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "weak": {"flips": True, "quarter_turns": True, "stain": 0.1},
    "strong": {
        "flips": True,
        "quarter_turns": True,
        "rotate_deg": 20.0,
        "scale": 0.2,
        "shift": 0.1,
        "brightness": 0.2,
        "contrast": 0.2,
        "stain": 0.2,
        "blur": 0.2,
        "grain": 0.2,
        "jpeg": 0.2,
        "cutout": 0.35,
    },
}


def _spell_out(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in PRESETS:
        raise ValueError(f"noise is one of {', '.join(PRESETS)}, or a mapping of magnitudes; not {value!r}")
    return PRESETS[value]


NoisePolicy = Annotated[Noise, BeforeValidator(_spell_out, json_schema_input_type=str | Noise)]
