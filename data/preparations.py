"""The preparations there are: what the section `prepare` of a configuration may be."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from data.preparation import Preparation
from data.slides.preparation import Slides
from data.volumes.preparation import Volumes

if TYPE_CHECKING:
    PrepareConfig = Preparation
else:
    PrepareConfig = Annotated[Slides | Volumes, Field(discriminator="kind")]
