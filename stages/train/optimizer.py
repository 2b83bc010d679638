"""What the optimiser is given, and how fast it learns when."""

import math
from typing import Any

import torch

from stages.networks.init.groups import layers_of


def parameter_groups(network: torch.nn.Module, weight_decay: float, lr: float, lr_decay: float, key: str) -> list[Any]:
    """Groups for AdamW of what is not frozen: no decay on biases and norms.

    With lr_decay below 1 a group a layer, the layer that is n below the classifier at lr * lr_decay^n (BEiT, Bao et
    al. 2022). Raises ChainError (78), naming `key`, where timm cannot tell the layers apart.
    """
    trained = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    if lr_decay == 1:
        decayed, plain = ([p for _, p in trained if (p.ndim > 1) is many] for many in (True, False))
        return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    depth = layers_of(network, key)
    last = max(depth.values())
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in trained:
        groups.setdefault((depth[name], parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay if many else 0.0, "lr": lr * lr_decay ** (last - layer)}
        for (layer, many), parameters in sorted(groups.items())
    ]


def learning_rate(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at `step` of `steps`: linear rise over the share `warmup`, then half a cosine."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
