"""The `data` section: which patches, and how they are stored."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data.pixels.modes import MAX_DEPTH, MAX_SIZE_PX, Mode
from data.pixels.network_input import NetworkInput
from data.pixels.windows import WindowSetting
from data.readers import SourceConfig
from data.section import Section


class DataConfig(Section):
    """Sources and the store made of them."""

    sources: Annotated[list[SourceConfig], Field(min_length=1, description="where patches come from")]
    size_px: Annotated[int, Field(ge=1, le=MAX_SIZE_PX, description="every stored patch is a square of this side")]
    mode: Annotated[Mode, Field(description="what every stored patch is made of")] = "rgb8"
    depth: Annotated[int, Field(ge=1, le=MAX_DEPTH, description="slices of a patch; more than 1 only for hu16")] = 1
    windows: Annotated[
        list[WindowSetting] | None,
        Field(
            min_length=1,
            max_length=8,
            description="hu16: a channel for each: a standard name such as lung, or [level, width] in HU",
        ),
    ] = None
    resize: Annotated[
        bool, Field(description="resample patches of another size; false: they go to the quarantine table")
    ] = False
    encoding: Annotated[
        Literal["keep", "raw", "link"],
        Field(
            description="keep: an 8-bit JPEG that fits keeps its own bytes, a patch that lies in a slide stays there; "
            "raw: pixels; link: as keep, and patches of a prepared directory or another store stay there. "
            "Never encoded anew"
        ),
    ] = "keep"
    quarantine_limit: Annotated[float, Field(ge=0, le=1, description="share of patches that may be unusable")] = 0.001
    classes: Annotated[
        list[Annotated[str, Field(min_length=1)]] | None,
        Field(min_length=2, description="classes in order; null: the labels found, sorted"),
    ] = None

    def network_input(self) -> NetworkInput:
        """What the images made of the stored patches are."""
        return NetworkInput(self.mode, self.size_px, self.depth, tuple(self.windows or ()))

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [source.name for source in self.sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two sources are called {twice[0]!r}: give each a name of its own")
        if self.depth > 1 and self.mode != "hu16":
            raise ValueError(f"depth: {self.depth} goes with mode: hu16; patches in {self.mode} have one slice")
        if self.windows is None and self.mode == "hu16":
            raise ValueError("mode: hu16 needs windows, for instance windows: [lung, soft_tissue]")
        if self.windows is not None and self.mode != "hu16":
            raise ValueError(f"windows go with mode: hu16; patches in {self.mode} are seen as they are")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        return self
