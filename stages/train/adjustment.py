"""Logit adjustment: what a class owes to having been taught often is taken from it once training is done.

After training the network's logits hold, beside what each class looks like, the logarithm of the share of each class in
what was taught (in the last phase, where there are two). Without it the best class is the one that a pool of equally
many patches of each would make the best (Menon et al., ICLR 2021, equation 9). It is taken from the bias of the
classifier, so that whatever loads the weights has it. Put into the loss instead (their equation 10) it made students
worse (docs/choices.md).
"""

import numpy as np
import torch

from data.errors import ChainError, ExitCode
from stages.networks.init.groups import classifier_of


def shift_of(shares: np.ndarray, strength: float) -> torch.Tensor:
    """What is taken from the logits: (C,) float32, strength * log share. shares: (C,), sums to 1.

    A class that nothing teaches has a share of 0 and keeps its logit, which training has made as small as it could.
    """
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return torch.from_numpy(strength * logs).float()


def refuse_without_bias(network: torch.nn.Module, strength: float, key: str) -> None:
    """Raise ChainError (78) where the classifier has no bias to take it from. key: of the section."""
    if strength and not _biases(network):
        raise ChainError(
            f"{key}.logit_adjustment: the classifier of this backbone has no bias",
            "what a class owes to being frequent is taken from there",
            "leave it out, or choose another backbone",
            ExitCode.MISMATCH,
        )


def adjust(network: torch.nn.Module, shift: torch.Tensor) -> None:
    """Take `shift`, (C,), from the classifier, in place; from each, where a network averages several."""
    for bias in _biases(network):
        bias.data -= shift.to(bias.device, bias.dtype)


def _biases(network: torch.nn.Module) -> list[torch.nn.Parameter]:
    head = classifier_of(network)
    return [p for name, p in network.named_parameters() if name in head and name.endswith("bias")]
