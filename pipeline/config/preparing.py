"""Configurations that say how patches are made: imported where one does, for slides and CT have many sections."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from data.preparation import Preparation
from data.section import Section
from data.slides.preparation import Slides
from data.volumes.preparation import Volumes
from pipeline.config.chain import ChainConfig

if TYPE_CHECKING:
    PrepareConfig = Preparation
else:
    PrepareConfig = Annotated[Slides | Volumes, Field(discriminator="kind")]


class PreparingChain(ChainConfig):
    """A whole experiment, and how its patches are made."""

    prepare: PrepareConfig | None = Field(None, description=ChainConfig.model_fields["prepare"].description)


class PrepareOnly(Section):
    """A configuration that says nothing but how patches are made."""

    prepare: PrepareConfig
