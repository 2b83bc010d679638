"""How patches are scored."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from data.pixels.network_input import NetworkInput
from data.section import Section
from stages.networks.init.config import Init
from stages.train.config import TrainConfig


class Encoder(Section):
    """A frozen network beside the teacher, which says only what patches look alike (select.propagate)."""

    backbone: Annotated[str, Field(min_length=1, description="a timm model name, or torchvision/r3d_18 and its like")]
    init: Annotated[Init, Field(description="its weights; random ones see little")] = Init(kind="full")
    size_px: Annotated[
        int | None, Field(ge=8, description="patches are enlarged to this size for it; null: as they are")
    ] = None
    style: bool = Field(
        False,
        description="also write what patches are made of: mean and deviation of each channel at several depths, where "
        "stain, texture and cells are told apart; a timm backbone",
    )

    def as_trained(self) -> TrainConfig:
        """The section of a training that would begin with this network."""
        return TrainConfig(backbone=self.backbone, init=self.init)

    def input_of(self, kind: NetworkInput) -> NetworkInput:
        """What it is given of such patches: position embeddings of transformers fit this size, not the patches'."""
        return kind if self.size_px is None else replace(kind, size_px=self.size_px)


class PredictConfig(Section):
    """One pass of the teacher over pool, validation and test: eval mode, no noise; MC-dropout is asked for apart."""

    views: Literal[1, 2, 4, 8] = Field(
        1, description="mirror images and quarter turns of a patch whose probabilities are averaged"
    )
    batch_size: Annotated[int, Field(ge=1)] = 256
    shard_batches: Annotated[int, Field(ge=1, description="batches a shard; what a kill can cost")] = 16
    mc_passes: Annotated[
        int,
        Field(
            ge=0,
            description="further passes with dropout, one view each, whose deviation says how sure a probability is "
            "(select.rule: uncertainty); the labels themselves never see dropout. 0: none",
        ),
    ] = 0
    mc_dropout: Annotated[
        float, Field(ge=0, lt=1, description="before the classifier in those passes, whatever it was in training")
    ] = 0.3
    mc_drop_path: Annotated[float, Field(ge=0, lt=1, description="stochastic depth in those passes")] = 0.0

    embeddings: bool = Field(
        False, description="also write what the teacher's classifier reads of each patch (select.propagate)"
    )
    encoder: Annotated[
        Encoder | None, Field(description="a frozen network whose embeddings the first round writes; null: none")
    ] = None

    @model_validator(mode="after")
    def _passes_deviate(self) -> "PredictConfig":
        if self.mc_passes == 1:
            raise ValueError("mc_passes: one pass has no deviation; the paper takes 10, 0 means none")
        if self.mc_passes and not (self.mc_dropout or self.mc_drop_path):
            raise ValueError("mc_passes without noise all agree: set mc_dropout or mc_drop_path above 0")
        return self

    def mc_kwargs(self) -> dict[str, Any]:
        """What a network is rebuilt with so that it has something to drop; {} without passes.

        Noise holds no weights, so any finished network can be rebuilt with it and gives the same scores in eval mode.
        """
        if not self.mc_passes:
            return {}
        noise = {"drop_rate": self.mc_dropout, "drop_path_rate": self.mc_drop_path}
        return {name: rate for name, rate in noise.items() if rate}
