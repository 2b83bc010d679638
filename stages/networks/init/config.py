"""Section `init`: where the first weights come from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from data.section import Digested, Section

PREFIX_STAGES = 2  # most of what transfer gains in speed comes from the lowest two (Raghu et al., NeurIPS 2019)
WITH_STAGES = ("prefix", "slim")
Kind = Literal["random", "full", "mean_var", "prefix", "slim", "frozen"]


class Init(Section):
    """What is taken over from a pretrained network (Raghu et al., NeurIPS 2019); the classifier never is."""

    kind: Annotated[
        Kind,
        BeforeValidator(lambda kind: "full" if kind == "pretrained" else kind, json_schema_input_type=Kind),
        Field(
            description="random; full: every layer; mean_var: every tensor drawn anew with the pretrained one's mean "
            "and deviation; prefix: the stem and the first `stages`, the rest random, all trained; slim: prefix, with "
            "half the channels above (ResNets); frozen: every layer, and only the classifier is trained (linear probe)"
        ),
    ] = "random"
    path: Annotated[
        Path | None,
        Digested(),
        Field(
            strict=False,
            description="a local safetensors file, or PyTorch checkpoint of nothing but tensors, with the pretrained "
            "weights under timm's names; null: timm fetches",
        ),
    ] = None
    stages: Annotated[
        int | None,
        Field(
            ge=0,
            description=f"prefix and slim: how many stages after the stem are copied; null: {PREFIX_STAGES}. "
            "Networks without stages (transformers) count blocks",
        ),
    ] = None

    licence: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="of these weights, as their owner calls it; it goes with the model, its pseudo-labels, and the "
            "students that learn them; null: what timm says of weights that it fetches",
        ),
    ] = None

    mean: Annotated[
        list[Annotated[float, Field(ge=0, le=1)]] | None,
        Field(
            min_length=1,
            description="what these weights were trained to have taken from each channel, in [0, 1]; null: what timm "
            "says of the backbone, which a file of another training may contradict (foundation encoders each have "
            "their own)",
        ),
    ] = None
    std: Annotated[
        list[Annotated[float, Field(gt=0, le=1)]] | None,
        Field(min_length=1, description="what it is divided by then; goes with mean"),
    ] = None

    @model_validator(mode="after")
    def _keys_go_with_the_kind(self) -> "Init":
        if self.path is not None and self.kind == "random":
            raise ValueError("a file of weights goes with another init.kind than random, for instance full")
        if self.licence is not None and self.kind == "random":
            raise ValueError("random weights have no licence: leave it out, or choose another init.kind")
        if self.mean is not None and self.kind == "random":
            raise ValueError("random weights are used to no mean: leave mean and std out, or choose another init.kind")
        if len(self.mean or []) != len(self.std or []):
            raise ValueError("mean and std go together, with a value for each channel")
        if self.stages is not None and self.kind not in WITH_STAGES:
            raise ValueError(f"stages goes with init.kind: {' or '.join(WITH_STAGES)}, not {self.kind}")
        return self

    @property
    def copied_stages(self) -> int:
        """After the stem, where a prefix is copied."""
        return PREFIX_STAGES if self.stages is None else self.stages
