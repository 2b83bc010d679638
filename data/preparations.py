"""The preparations there are: what the section `prepare` of a configuration may be."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from data.preparation import Preparation as PrepareConfig
elif find_spec("data.slides.config") is None:
    from data.volumes.config import VolumesConfig as PrepareConfig
else:
    from data.slides.config import SlidesConfig
    from data.volumes.config import VolumesConfig

    PrepareConfig = Annotated[SlidesConfig | VolumesConfig, Field(discriminator="kind")]
