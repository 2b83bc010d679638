"""Frozen parts of a network: no gradient, and normalisation by what was learnt before."""

from collections.abc import Collection

import torch


def freeze(model: torch.nn.Module, names: Collection[str]) -> None:
    """Of the parameters, let exactly those not called `names` be trained."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in names)


def rest_frozen_norms(model: torch.nn.Module, every: bool = False) -> None:
    """Put normalisation with running statistics into eval mode where its parameters are frozen, or everywhere.

    Otherwise the statistics of a frozen encoder would drift towards those of noised patches.
    """
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if "running_mean" in module._buffers and own and (every or not any(p.requires_grad for p in own)):
            module.eval()
