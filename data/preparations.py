"""The preparations there are: what the section `prepare` of a configuration may be."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from data.preparation import Preparation
from data.slides.config import SlidesConfig
from data.volumes.config import VolumesConfig

if TYPE_CHECKING:
    PrepareConfig = Preparation
else:
    PrepareConfig = Annotated[SlidesConfig | VolumesConfig, Field(discriminator="kind")]
