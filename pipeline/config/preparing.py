"""Configurations that say how patches are made: imported where one does, for slides and CT have many sections."""

from pydantic import Field

from data.preparations import PrepareConfig
from data.section import Section
from pipeline.config.chain import ChainConfig


class PreparingChain(ChainConfig):
    """A whole experiment, and how its patches are made."""

    prepare: PrepareConfig | None = Field(None, description=ChainConfig.model_fields["prepare"].description)


class PrepareOnly(Section):
    """A configuration that says nothing but how patches are made."""

    prepare: PrepareConfig
