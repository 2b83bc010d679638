"""What every image given to a network is: part of a model as much as its weights are."""

from dataclasses import dataclass
from typing import Any

from data.pixels.modes import CHANNELS, Mode
from data.pixels.windows import Window


@dataclass(frozen=True)
class NetworkInput:
    """Size and content of the images. windows: for hu16, at least one; empty for every other mode."""

    mode: Mode
    size_px: int
    depth: int = 1
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        assert bool(self.windows) == (self.mode == "hu16"), "HU, and only HU, are seen through windows"

    @property
    def views(self) -> int:
        """Channels of one slice."""
        return len(self.windows) or CHANNELS[self.mode]

    @property
    def channels(self) -> int:
        """Of an image, (S, S, C): window w and slice d are channel w * depth + d."""
        return self.views * self.depth

    @property
    def shown(self) -> str:
        """In a few words: `rgb8`, or `hu16, 3 slices, windows lung [-600, 1500]`."""
        slices = [f"{self.depth} slices"] if self.depth > 1 else []
        seen = [f"windows {', '.join(window.shown for window in self.windows)}"] if self.windows else []
        return ", ".join([self.mode, *slices, *seen])

    def words(self) -> str:
        """How to make the network's input from a patch, for whoever uses the model elsewhere."""
        size = f"{self.size_px} x {self.size_px} px at the resolution of the training patches"
        if self.mode != "hu16":
            colour = {"rgb8": "8-bit RGB", "grey8": "8-bit grey", "grey16": "16-bit grey"}[self.mode]
            unit = "65535" if self.mode == "grey16" else "255"
            return f"{colour} patches of {size}; divide by {unit}, subtract mean, divide by std, channels first"
        slices = f"{self.depth} slices" if self.depth > 1 else "one slice"
        seen = ", ".join(window.shown for window in self.windows)
        return (
            f"CT patches in HU, {slices} of {size}; for each window [level, width] of {seen}: "
            "clip((HU - level) / width + 0.5, 0, 1); channel = window * slices + slice; "
            "subtract mean, divide by std, channels first"
        )

    def plain(self) -> dict[str, Any]:
        """What `model.json` says beside mode and size."""
        return {"depth": self.depth, "windows": [window.model_dump() for window in self.windows]}
