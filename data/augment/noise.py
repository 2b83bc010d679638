"""The noise policy, spelled out in the configuration: magnitudes in plain units, no hidden presets.

`noise: weak` in a configuration is short for the values below; the resolved configuration of a run
holds them all. `choose: 2` makes of the same operations a policy after RandAugment (Cubuk et al., CVPR 2020): each
patch gets two of those that are on, drawn anew, with magnitudes as stated. For CT (`data.mode: hu16`) `weak` and
`strong` are short for `ct_weak` and `ct_strong`: the operations of light and colour mean nothing there, and are
refused by name. Every operation keeps an H&E or CT label: no inversion, solarising, posterising, equalising or hue
rotation.
"""

from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from data.pixels.modes import Mode
from data.section import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Noise(Section):
    """How training patches are disturbed. All zero and false: no noise."""

    flips: bool = Field(False, description="horizontal and vertical mirror images")
    quarter_turns: bool = Field(False, description="turns by 90, 180, 270 degrees")
    rotate_deg: Annotated[float, Field(ge=0, le=45, description="free rotation up to this angle, either way")] = 0.0
    scale: Annotated[
        float,
        Field(ge=0, le=0.5, description="zoom in or out by up to this share; in colour and grey each axis by itself"),
    ] = 0.0
    shift: Annotated[float, Field(ge=0, le=0.5, description="move by up to this share of the side")] = 0.0
    crop: Annotated[
        float, Field(ge=0, le=0.5, description="cut off up to this share of the side anywhere; the rest is enlarged")
    ] = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    stain: Annotated[
        float, Field(ge=0, le=1, description="optical-density jitter of haematoxylin and eosin (colour patches only)")
    ] = 0.0
    blur: Annotated[Share, Field(description="chance of a slight blur")] = 0.0
    grain: Annotated[Share, Field(description="chance of sensor noise")] = 0.0
    jpeg: Annotated[Share, Field(description="chance of recompression (8-bit patches only)")] = 0.0
    cutout: Annotated[Share, Field(description="side of one blanked square as a share of the patch's side")] = 0.0

    intensity_scale: Annotated[
        float, Field(ge=0, le=0.1, description="CT: attenuation, HU + 1000, is scaled by up to this share, either way")
    ] = 0.0
    intensity_shift_hu: Annotated[float, Field(ge=0, le=100, description="CT: shift by up to this, either way")] = 0.0
    grain_hu: Annotated[
        float, Field(ge=0, le=200, description="CT: deviation, up to this, of Gaussian noise in every voxel")
    ] = 0.0
    window_level: Annotated[
        float, Field(ge=0, le=0.5, description="CT: move windows by up to this share of their width, either way")
    ] = 0.0
    window_width: Annotated[
        float, Field(ge=0, le=0.5, description="CT: widen or narrow windows by up to this share")
    ] = 0.0
    slice_flip: bool = Field(False, description="CT: turn the order of a patch's slices round")
    slice_shift: Annotated[
        int, Field(ge=0, le=16, description="CT: move by up to so many slices, either way; the outermost is repeated")
    ] = 0

    choose: Annotated[
        int,
        Field(
            ge=0,
            description="0: every operation that is on is drawn for every patch; n: only n of them, chosen anew for "
            "each patch. Mirror images, quarter turns and the order of slices are always drawn",
        ),
    ] = 0

    @model_validator(mode="after")
    def _enough_to_choose_from(self) -> "Noise":
        if self.choose and self.choose >= len(self.choices):
            raise ValueError(
                f"choose: {self.choose} of {len(self.choices)} operations that are on leaves nothing to choose: "
                "switch more of them on, or set choose: 0"
            )
        return self

    @property
    def choices(self) -> tuple[str, ...]:
        """The operations that are on and of which `choose` picks some."""
        return tuple(name for name in CHOICES if getattr(self, name))

    def chosen(self, rng: np.random.Generator) -> "Noise":
        """The noise of one patch: this one, with all but `choose` of its `choices` off. Draws nothing for choose: 0."""
        if not self.choose:
            return self
        picked = rng.choice(len(self.choices), self.choose, replace=False)
        return _only(self, frozenset(self.choices[i] for i in picked))

    @property
    def is_none(self) -> bool:
        """Whether nothing is disturbed."""
        return self == Noise()


# operations of light and colour, and of Hounsfield units; the rest are for every kind of patch
LIGHT = ("brightness", "contrast", "stain", "blur", "grain", "jpeg")
HU = ("intensity_scale", "intensity_shift_hu", "grain_hu", "window_level", "window_width", "slice_flip", "slice_shift")

# stains are of colour, and 16 bits are written in no JPEG
UNFELT: dict[Mode, tuple[str, ...]] = {"grey8": ("stain",), "grey16": ("stain", "jpeg")}

# what `choose` chooses from: operations with a magnitude; the others move pixels to where they might as well be
CHOICES = (
    "rotate_deg", "scale", "shift", "crop", *LIGHT, "cutout", *(name for name in HU if name != "slice_flip")
)  # fmt: skip


@lru_cache(maxsize=4096)
def _only(noise: Noise, kept: frozenset[str]) -> Noise:
    # not validated: the rates of what is off are 0, whatever they must be where they are on
    off = {name: type(getattr(noise, name))(0) for name in noise.choices if name not in kept}
    return noise.model_copy(update={**off, "choose": 0})


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
    "ct_weak": {"flips": True, "intensity_shift_hu": 5.0, "grain_hu": 5.0, "window_level": 0.02, "window_width": 0.05},
    "ct_strong": {
        "flips": True,
        "rotate_deg": 15.0,
        "scale": 0.15,
        "shift": 0.08,
        "crop": 0.1,
        "cutout": 0.3,
        "intensity_scale": 0.01,
        "intensity_shift_hu": 10.0,
        "grain_hu": 20.0,
        "window_level": 0.05,
        "window_width": 0.15,
        "slice_flip": True,
        "slice_shift": 1,
    },
}


def preset_for(name: str, mode: Mode) -> str:
    """What `weak` and `strong` are short for with patches of this kind; any other name is itself."""
    return f"ct_{name}" if mode == "hu16" and name in ("weak", "strong") else name


def misplaced(noise: Noise, mode: Mode) -> list[str]:
    """The operations that are on and mean nothing for patches of this kind."""
    return [name for name in (LIGHT if mode == "hu16" else HU) if getattr(noise, name)]


def felt(noise: Noise, mode: Mode) -> Noise:
    """Without the operations that leave patches of this kind as they are: `choose` picks among those that are felt."""
    off = {name: type(getattr(noise, name))(0) for name in UNFELT.get(mode, ()) if getattr(noise, name)}
    if not off:
        return noise
    # not validated: as in `_only`
    left = noise.model_copy(update=off)
    return left if left.choose < len(left.choices) else left.model_copy(update={"choose": 0})


def _spell_out(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in PRESETS:
        raise ValueError(f"noise is one of {', '.join(PRESETS)}, or a mapping of magnitudes; not {value!r}")
    return PRESETS[value]


NoisePolicy = Annotated[Noise, BeforeValidator(_spell_out, json_schema_input_type=str | Noise)]
