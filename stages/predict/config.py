"""How patches are scored."""

from typing import Annotated, Literal

from pydantic import Field

from data.section import Section


class PredictConfig(Section):
    """One pass of the teacher over pool, validation and test: eval mode, no noise."""

    views: Literal[1, 2, 4, 8] = Field(
        1, description="mirror images and quarter turns of a patch whose probabilities are averaged"
    )
    batch_size: Annotated[int, Field(ge=1)] = 256
    shard_batches: Annotated[int, Field(ge=1, description="batches a shard; what a kill can cost")] = 16
