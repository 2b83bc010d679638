"""Several networks as one: the mean of their probabilities."""

import math
from collections.abc import Sequence

import torch

Statistics = tuple[Sequence[float], Sequence[float]]


class Ensemble(torch.nn.Module):
    """Networks over the same classes. Its forward gives the log of the averaged probabilities, (B, K) float32.

    Images come normalised by `shared` (mean and std a channel); each member gets them as normalised by its own.
    """

    def __init__(self, members: Sequence[torch.nn.Module], own: Sequence[Statistics], shared: Statistics) -> None:
        super().__init__()
        assert len(members) == len(own) > 0
        self.members = torch.nn.ModuleList(members)
        self._alike = [tuple(map(list, one)) == tuple(map(list, shared)) for one in own]
        mean, std = (torch.tensor(values, dtype=torch.float64) for values in shared)
        for i, (own_mean, own_std) in enumerate(own):
            m, s = (torch.tensor(values, dtype=torch.float64) for values in (own_mean, own_std))
            self.register_buffer(f"scale_{i}", (std / s).float().view(-1, 1, 1), persistent=False)
            self.register_buffer(f"shift_{i}", ((mean - m) / s).float().view(-1, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """image: normalised (B, C, H, W)."""
        each = []
        for i, member in enumerate(self.members):
            if not self._alike[i]:  # else to the last bit what the member was trained on
                fitting = image * self.get_buffer(f"scale_{i}") + self.get_buffer(f"shift_{i}")
            each.append(member(image if self._alike[i] else fitting).float().log_softmax(1))
        return torch.stack(each).logsumexp(0) - math.log(len(each))
