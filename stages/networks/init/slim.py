"""Slim networks (Raghu et al., NeurIPS 2019): a ResNet with half the channels above the stages that are copied."""

from functools import lru_cache
from typing import Any

import timm
import torch
from timm.models.resnet import ResNet

from data.errors import ChainError, ExitCode


def slim_kwargs(backbone: str, stages: int, key: str) -> dict[str, Any]:
    """What timm makes the slim network with: `channels` a stage. Raises ChainError (78) where it cannot."""
    channels = _channels(backbone)
    if not channels:
        raise ChainError(
            f"{key}: slim: {backbone} is not a ResNet of timm's",
            "only those take their number of channels stage by stage",
            "choose a backbone like resnet18 or resnet50, or init.kind: prefix",
            ExitCode.MISMATCH,
        )
    if stages >= len(channels):
        raise ChainError(
            f"{key}: slim: {backbone} has {len(channels)} stages, and {stages} are to be copied",
            "nothing above them is left to be halved",
            f"set init.stages below {len(channels)}, or init.kind: full",
            ExitCode.MISMATCH,
        )
    return {"channels": [n if i < stages else n // 2 for i, n in enumerate(channels)]}


@lru_cache(maxsize=8)
def _channels(backbone: str) -> tuple[int, ...]:
    if not timm.is_model(backbone):
        return ()
    with torch.random.fork_rng(devices=[]):  # a look at a network must not change what is drawn after it
        model = timm.create_model(backbone)
    if not isinstance(model, ResNet):
        return ()
    stages = {str(info["module"]): int(str(info["num_chs"])) for info in model.feature_info}
    # a block of expansion 4 has four times the channels that it is made with
    blocks = {name: next(model.get_submodule(name).children()) for name in stages if name.startswith("layer")}
    return tuple(stages[name] // int(vars(type(block))["expansion"]) for name, block in blocks.items())
