"""How a network is trained. Teacher and student share everything but what noises the student."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from data.augment.noise import PRESETS, Noise, NoisePolicy
from data.section import Section
from stages.networks.init.config import Init

__all__ = ["Finetune", "Init", "Member", "StudentConfig", "TeacherConfig", "TrainConfig"]

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
    lr_decay: Annotated[
        float,
        Field(gt=0, le=1, description="each layer below the classifier learns at this share of the rate above it"),
    ] = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    warmup: Annotated[float, Field(ge=0, lt=1, description="share of the steps before the peak; then cosine")] = 0.1
    label_smoothing: Annotated[float, Field(ge=0, lt=1, description="on given labels only")] = 0.0
    logit_adjustment: Annotated[
        float,
        Field(
            ge=0,
            le=2,
            description="how many times the logarithm of a class's share of what was taught, in the last phase, is "
            "taken from its logit once training is done; 1: none is called less for being rare (Menon et al., ICLR "
            "2021), and confidences are those of equally many patches of every class; 0: none, and frequent classes "
            "are called more",
        ),
    ] = 0.0
    clip_norm: Annotated[float, Field(ge=0, description="gradient norm; 0: no clipping")] = 1.0
    ema_decay: Annotated[
        float, Field(ge=0, lt=1, description="averaged weights are what labels and what is kept; 0: the last weights")
    ] = 0.99
    frozen_stages: Annotated[
        int | None,
        Field(ge=0, description="the stem and so many stages stay as `init` has them; null: all is trained"),
    ] = None
    frozen_norms: bool = Field(
        False,
        description="batch normalisation goes by the statistics that `init` brings, not by those of noised batches; "
        "with few labels, or small batches, this is the steadier way",
    )
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

    @property
    def total_steps(self) -> int:
        """Over all phases."""
        return self.steps


class Member(Section):
    """One network of an ensemble: what it has otherwise than the section; null: the same."""

    backbone: Annotated[str | None, Field(min_length=1)] = None
    init: Init | None = None


class TeacherConfig(TrainConfig):
    """The first teacher: labels only, no dropout, no stochastic depth. Or several, whose probabilities are averaged."""

    seeds: Annotated[
        int, Field(ge=1, le=32, description="so many teachers from different seeds, their probabilities averaged")
    ] = 1
    members: Annotated[
        tuple[Member, ...],
        Field(strict=False, max_length=32, description="an ensemble of these, each from a seed of its own; empty: one"),
    ] = ()

    @model_validator(mode="after")
    def _one_way_to_be_several(self) -> "TeacherConfig":
        if self.members and self.seeds > 1:
            raise ValueError("seeds and members both make an ensemble: name a member once for each seed, or set seeds")
        if self.snapshots and len(self.each()) > 1:
            raise ValueError("snapshots are of one teacher, not of an ensemble: set snapshots: 0")
        return self

    def each(self) -> list["TeacherConfig"]:
        """The section of every member by itself; one, where there is no ensemble."""
        if not self.members:
            return [self.model_copy(update={"seeds": 1})] * self.seeds
        alone = self.model_copy(update={"members": ()})
        return [
            alone.model_copy(update={name: value for name, value in _said(member).items() if value is not None})
            for member in self.members
        ]


class Finetune(Section):
    """The last phase of a student: given labels alone, at a lower rate, with fresh moments of the optimiser."""

    steps: Annotated[int, Field(ge=1, description="optimiser steps, after `steps` of the student")] = 200
    lr: Annotated[float, Field(gt=0, description="peak learning rate")] = 1e-4
    noise: NoisePolicy = Noise(**PRESETS["weak"])
    size_px: Annotated[
        int | None,
        Field(
            ge=8,
            description="patches are enlarged to this size, now and whenever the model is used; null: as they are "
            "(fixing the train-test resolution discrepancy, Touvron et al. 2019)",
        ),
    ] = None
    frozen_stages: Annotated[
        int | None, Field(ge=0, description="the stem and so many stages stay as they are; null: all is trained")
    ] = None


class StudentConfig(TrainConfig):
    """A student: given labels and pseudo-labels, with noise, in one batch or one after the other.

    joint: one loss over both (Xie et al., CVPR 2020). pretrain_finetune: pseudo-labels alone, then, in the phase
    `finetune`, given labels alone (Yalniz et al. 2019; Shaw et al. 2020).
    """

    noise: NoisePolicy = Noise(**PRESETS["strong"])
    schedule: Literal["joint", "pretrain_finetune"] = Field(
        "joint", description="given and pseudo-labels in one batch; or first pseudo-labels alone, then given ones alone"
    )
    unlabeled_ratio: Annotated[
        float,
        Field(gt=0, description="joint: pseudo-labelled patches a step for each labelled one; also the loss weight"),
    ] = 3.0
    soft_labels: bool = Field(True, description="learn the teacher's probabilities, not only its best class")
    dropout: Annotated[float, Field(ge=0, lt=1, description="before the classifier")] = 0.2
    drop_path: Annotated[
        float, Field(ge=0, lt=1, description="stochastic depth at the last block, rising linearly to it")
    ] = 0.1
    warm_start: Literal[False, True, "later"] = Field(
        False,
        description="begin with the teacher's weights, not with `init`; later: from the second round on, when the "
        "teacher has been a student itself. Long trainings end worse for it (Xie et al.), short ones better",
    )
    finetune: Annotated[Finetune | None, Field(description="a last phase on given labels alone; null: none")] = None

    @property
    def total_steps(self) -> int:
        """Over all phases."""
        return self.steps + (self.finetune.steps if self.finetune else 0)

    def of_round(self, round: int) -> "StudentConfig":
        """With a plain yes or no for `warm_start`, which may mean otherwise from round to round."""
        if self.warm_start != "later":
            return self
        return self.model_copy(update={"warm_start": True, "init": Init()} if round else {"warm_start": False})

    @model_validator(mode="after")
    def _keys_agree(self) -> "StudentConfig":
        if self.schedule == "pretrain_finetune" and self.finetune is None:
            raise ValueError("schedule: pretrain_finetune needs the second phase: finetune: {steps: 200, lr: 1.0e-4}")
        if self.warm_start is True and self.init.kind != "random":
            raise ValueError("warm_start takes the teacher's weights and init others: leave one of them out")
        if self.warm_start == "later" and self.init.kind in ("slim", "frozen"):
            raise ValueError(
                f"warm_start: later takes only first weights from init, and init.kind: {self.init.kind} also says what "
                "is trained, or how wide the network is: leave one of them out"
            )
        if self.snapshots and self.finetune is not None and self.finetune.size_px is not None:
            raise ValueError(
                "snapshots of the first phase never saw patches of finetune.size_px, at which the finished network is "
                "asked: leave one of them out"
            )
        return self


def _said(member: Member) -> dict[str, object]:
    return {name: getattr(member, name) for name in type(member).model_fields}
