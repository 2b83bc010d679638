"""One part of a batch is computed as it would be in the whole: its batch statistics, and its draws.

With it a training on several devices is the training on one, but for the order of floating-point sums: normalisation
sees the statistics of all ranks' patches, and dropout and stochastic depth drop what they would drop on one device,
because every process draws for the whole batch and takes its own rows.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch.autograd.function import FunctionCtx
from torch.nn.functional import batch_norm, dropout
from torch.nn.modules._functions import SyncBatchNorm  # what torch.nn.SyncBatchNorm calls; CUDA only
from torch.overrides import TorchFunctionMode


class WholeBatch(TorchFunctionMode):
    """Around a forward pass of the patches at `places` of a batch of `total`. ranks: how many pass at the same time.

    Pieces that one process takes one after the other have statistics of their own: what is not there yet cannot count.
    """

    def __init__(self, places: range, total: int, ranks: int) -> None:
        super().__init__()
        self.places, self.total, self.ranks = places, total, ranks

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Three functions are done otherwise, everything else as always."""
        kwargs = kwargs or {}
        if func is batch_norm and self.ranks > 1:
            return _batch_norm(*args, **kwargs)
        if func is dropout and args[0].shape[0] == len(self.places):
            return self._dropout(*args, **kwargs)
        if func is torch.Tensor.bernoulli_ and args[0].shape[:1] == (len(self.places),):
            kept = args[0]  # stochastic depth: one number a patch
            return kept.copy_(self._rows(kept, lambda whole: whole.bernoulli_(*args[1:], **kwargs)))
        return func(*args, **kwargs)

    def _dropout(
        self, image: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> torch.Tensor:
        if not training or p == 0:
            return dropout(image, p, training, inplace)
        kept = self._rows(image, lambda whole: whole.bernoulli_(1 - p).div_(1 - p))
        return image * kept

    def _rows(self, like: torch.Tensor, draw: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        whole = draw(like.new_empty((self.total, *like.shape[1:])))
        return whole[self.places.start : self.places.stop : self.places.step]


class _SummedOverRanks(torch.autograd.Function):
    """The sum of all ranks' tensors, through which gradients flow back to every rank."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: torch.Tensor) -> torch.Tensor:
        total = values.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def _batch_norm(
    image: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    if not training:
        return batch_norm(image, running_mean, running_var, weight, bias, training, momentum, eps)
    if image.is_cuda:
        group, ranks = dist.group.WORLD, dist.get_world_size()
        fused: torch.Tensor = SyncBatchNorm.apply(
            image, weight, bias, running_mean, running_var, eps, momentum, group, ranks
        )
        return fused
    over = [axis for axis in range(image.ndim) if axis != 1]
    shape = [1, -1] + [1] * (image.ndim - 2)
    exact = image.to(torch.promote_types(image.dtype, torch.float32))
    own = exact.new_tensor([exact.numel() / exact.shape[1]])
    sums = _SummedOverRanks.apply(torch.cat([exact.sum(over), own]))
    count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
    centred = exact - mean.view(shape)
    # from the mean, not from the mean of squares: the difference of large sums would cancel
    var = _SummedOverRanks.apply(centred.square().sum(over)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), momentum)
    normed = centred * (var + eps).rsqrt().view(shape)
    if weight is not None:
        normed = normed * weight.view(shape)
    if bias is not None:
        normed = normed + bias.view(shape)
    found: torch.Tensor = normed.to(image.dtype)
    return found
