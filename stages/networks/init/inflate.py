"""From slices to volumes: the weights of a 2-D ResNet in a 3-D one (Wacker et al. 2019, arXiv 1912.12452).

A k x k kernel stands in the middle slice of a k x k x k one, zeros around it. Before training the 3-D network says of
each slice what the 2-D one says of it; what lies above and below it learns.
"""

import re
from collections.abc import Mapping

import torch

# torchvision's video ResNets keep a convolution and its normalisation in one Sequential
RENAMED = (
    (re.compile(r"^conv1\.(.*)"), r"stem.0.\1"),
    (re.compile(r"^bn1\.(.*)"), r"stem.1.\1"),
    (re.compile(r"^(layer\d+\.\d+)\.(conv[12])\.(.*)"), r"\1.\2.0.\3"),
    (re.compile(r"^(layer\d+\.\d+)\.bn([12])\.(.*)"), r"\1.conv\2.1.\3"),
)


def is_flat(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether these are a 2-D ResNet's, as timm and torchvision name them."""
    return "conv1.weight" in tensors and tensors["conv1.weight"].ndim == 4


def inflated(tensors: Mapping[str, torch.Tensor], model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors under the names, and with the depth, of a 3-D ResNet. What has no place there keeps its name."""
    own = model.state_dict()
    found = {}
    for name, tensor in tensors.items():
        renamed = _renamed(name)
        if renamed in own and tensor.ndim == 4 and own[renamed].ndim == 5:
            depth = own[renamed].shape[2]
            deep = tensor.new_zeros((*tensor.shape[:2], depth, *tensor.shape[2:]))
            deep[:, :, depth // 2] = tensor
            tensor = deep
        found[renamed] = tensor
    return found


def _renamed(name: str) -> str:
    for pattern, into in RENAMED:
        if pattern.match(name):
            return pattern.sub(into, name)
    return name
