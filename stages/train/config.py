"""How a network is trained. Teacher and student share everything but what noises the student."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from data.augment.noise import PRESETS, Noise, NoisePolicy
from data.section import Digested, Section


class Init(Section):
    """Where the first weights come from."""

    kind: Literal["random", "pretrained"] = Field("random", description="pretrained: the weights timm knows it by")
    path: Annotated[
        Path | None,
        Digested(),
        Field(
            strict=False,
            description="a local safetensors file with the pretrained weights, under timm's names; null: timm fetches",
        ),
    ] = None

    @model_validator(mode="after")
    def _path_goes_with_pretrained(self) -> "Init":
        if self.path is not None and self.kind == "random":
            raise ValueError("a file of weights goes with init.kind: pretrained")
        return self


VOLUME_PREFIX = "torchvision/"  # of the names of real 3-D networks


class TrainConfig(Section):
    """One training. Lengths are optimiser steps, because an epoch of 60 labels and one of 10^6 mean nothing alike."""

    backbone: Annotated[
        str,
        Field(
            min_length=1,
            description="a timm model name, slices and windows being its channels; or for patches of several slices a "
            "3-D network: torchvision/r3d_18, torchvision/mc3_18, torchvision/r2plus1d_18",
        ),
    ] = "resnet10t"
    init: Init = Init()
    steps: Annotated[int, Field(ge=1, description="optimiser steps")] = 1000
    evaluate_every: Annotated[int, Field(ge=1, description="steps between validations; also checkpoints")] = 100
    batch_size: Annotated[int, Field(ge=1, description="labelled patches a step, over all devices")] = 64
    lr: Annotated[float, Field(gt=0, description="peak learning rate of AdamW")] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup: Annotated[float, Field(ge=0, lt=1, description="share of the steps before the peak; then cosine")] = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=1, description="on given labels only")] = 0.0
    clip_norm: Annotated[float, Field(ge=0, description="gradient norm; 0: no clipping")] = 1.0
    ema_decay: Annotated[
        float, Field(ge=0, lt=1, description="averaged weights are what labels and what is kept; 0: the last weights")
    ] = 0.99
    noise: NoisePolicy = Noise(**PRESETS["weak"])
    snapshots: Annotated[
        int,
        Field(
            ge=0,
            le=8,
            description="earlier states of the weights kept beside the finished ones, at equal distances; they are "
            "asked for their opinion of the pool (select.rule: agreement)",
        ),
    ] = 0


class TeacherConfig(TrainConfig):
    """The first teacher: labels only, no dropout, no stochastic depth."""


class StudentConfig(TrainConfig):
    """A student: given labels and pseudo-labels in one batch, with noise (Xie et al., CVPR 2020)."""

    noise: NoisePolicy = Noise(**PRESETS["strong"])
    unlabeled_ratio: Annotated[
        float, Field(gt=0, description="pseudo-labelled patches a step for each labelled one; also the loss weight")
    ] = 3.0
    soft_labels: bool = Field(True, description="learn the teacher's probabilities, not only its best class")
    dropout: Annotated[float, Field(ge=0, lt=1, description="before the classifier")] = 0.2
    drop_path: Annotated[float, Field(ge=0, lt=1, description="stochastic depth at the last block")] = 0.1
