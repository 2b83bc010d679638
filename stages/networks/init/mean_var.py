"""Mean-Var initialisation (Raghu et al., NeurIPS 2019): the scale of pretrained weights without what they learnt."""

from collections.abc import Mapping

import torch

from data.keys import seed_of


def drawn(given: torch.Tensor, shape: torch.Size, seed: int, name: str) -> torch.Tensor:
    """Weights of `shape`, i.i.d. normal with the mean and the deviation of the pretrained tensor `given`.

    A function of seed and name. One element has a mean and no deviation: its value is taken.
    """
    values = given.double()
    deviation = float(values.std(correction=0)) if given.numel() > 1 else 0.0
    generator = torch.Generator().manual_seed(seed_of(seed, "mean_var", name))
    noise = torch.empty(shape, dtype=torch.float64).normal_(generator=generator)
    return (float(values.mean()) + deviation * noise).to(given.dtype)


def drawn_like(model: torch.nn.Module, given: Mapping[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """For every parameter of the network that `given` has by name, a tensor as `drawn` makes it.

    Parameters alone: a running mean or variance drawn at random would be wrong, and a variance may become negative.
    """
    return {
        name: drawn(given[name], parameter.shape, seed, name)
        for name, parameter in model.named_parameters()
        if name in given
    }
