"""Real 3-D networks: torchvision's video ResNets (Tran et al., CVPR 2018), with slices where they had frames.

Named `torchvision/r3d_18`, `torchvision/mc3_18`, `torchvision/r2plus1d_18` in a configuration. Images come as
(B, W * D, S, S) like everybody's and are unfolded to (B, W, D, S, S) at the door, so loading, normalising and
averaging over views need not know. Tensors keep torchvision's names: its own model loads them.
"""

import math
from functools import partial
from typing import Any

import torch
from torchvision.models import get_model_weights, video

from stages.train.config import VOLUME_PREFIX

# of torchvision's Kinetics-400 weights
KINETICS_MEAN, KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
BUILDERS = {"r3d_18": video.r3d_18, "mc3_18": video.mc3_18, "r2plus1d_18": video.r2plus1d_18}
NAMES = tuple(VOLUME_PREFIX + name for name in BUILDERS)


def is_volume_network(backbone: str) -> bool:
    """Whether a backbone is named as one of torchvision's."""
    return backbone.startswith(VOLUME_PREFIX)


def create_volume_network(
    name: str, num_classes: int, in_chans: int, depth: int, drop_rate: float = 0.0, pretrained: bool = False
) -> torch.nn.Module:
    """One of NAMES for (B, in_chans * depth, S, S) images. drop_rate: before the classifier.

    Raises ValueError for another name, OSError when pretrained weights are asked for and cannot be fetched.
    """
    if name not in NAMES:
        raise ValueError(f"torchvision's 3-D networks here are {', '.join(NAMES)}")
    build = BUILDERS[name.removeprefix(VOLUME_PREFIX)]
    model: torch.nn.Module = build(weights=None)
    if pretrained:  # not by build(weights=...): that unpickles whatever the file says
        weights = get_model_weights(build)["KINETICS400_V1"]
        model.load_state_dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    stem, head = model.get_submodule("stem"), model.get_submodule("fc")
    assert isinstance(stem, torch.nn.Sequential)
    assert isinstance(head, torch.nn.Linear)
    model.fc = torch.nn.Linear(head.in_features, num_classes)
    if in_chans != 3:
        stem[0] = with_channels(stem[0], in_chans)
    model.pretrained_cfg = {"architecture": name, "classifier": "fc", "first_conv": "stem.0"}  # type: ignore[assignment]
    model.group_matcher = _groups  # type: ignore[assignment]
    # hooks, not layers around it: the names of the tensors stay torchvision's
    model.register_forward_pre_hook(partial(_unfold, size=(in_chans, depth)))
    if drop_rate:
        model.fc.register_forward_pre_hook(partial(_drop, rate=drop_rate))
    return model


def with_channels(first: torch.nn.Module, in_chans: int) -> torch.nn.Conv3d:
    """A first convolution for another number of channels, its weights adapted."""
    assert isinstance(first, torch.nn.Conv3d)
    shape: dict[str, Any] = {name: getattr(first, name) for name in ("kernel_size", "stride", "padding")}
    other = torch.nn.Conv3d(in_chans, first.out_channels, bias=False, **shape)
    with torch.no_grad():
        other.weight.copy_(adapt_first(first.weight, in_chans))
    return other


def adapt_first(weight: torch.Tensor, in_chans: int) -> torch.Tensor:
    """timm's rule for the first convolution, in any dimension. weight: (O, I, ...); returns (O, in_chans, ...).

    One channel: the sum over the channels. More: the channels over and over, scaled so that the sum stays.
    """
    channels = weight.shape[1]
    if in_chans == 1:
        return weight.sum(1, keepdim=True)
    repeats = [1, math.ceil(in_chans / channels)] + [1] * (weight.ndim - 2)
    return weight.repeat(repeats)[:, :in_chans] * (channels / in_chans)


def _groups(coarse: bool = False) -> dict[str, str]:
    """As timm's networks say it of themselves: stem, stages, and within them blocks."""
    return {"stem": r"^stem", "blocks": r"^layer(\d+)" if coarse else r"^layer(\d+)\.(\d+)"}


def _unfold(module: torch.nn.Module, args: tuple[Any, ...], size: tuple[int, int]) -> tuple[torch.Tensor]:
    return (args[0].unflatten(1, size),)


def _drop(module: torch.nn.Module, args: tuple[Any, ...], rate: float) -> tuple[torch.Tensor]:
    return (torch.nn.functional.dropout(args[0], rate, module.training),)
