"""The pretrained tensors: read from a file, or taken from a network that timm has filled."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from data.errors import ChainError, ExitCode
from stages.networks.init.foreign import foreign_tensors, is_foreign
from stages.networks.init.inflate import inflated, is_flat
from stages.networks.volume import adapt_first

LOG = logging.getLogger("patchchain")
WRAPPERS = ("module.", "model.", "backbone.", "encoder.")


@dataclass(frozen=True)
class Donor:
    """tensors: by the name they have in the network that takes them; shown: where they come from, for people."""

    tensors: Mapping[str, torch.Tensor]
    shown: str


def donor_from_file(path: Path, key: str) -> Donor:
    """Read a safetensors file, or a checkpoint of tensors alone (see foreign.py).

    Names that all begin with a wrapper's, such as `module.`, lose it, which is said. Raises ChainError, naming `key`:
    66 when the file is missing, 65 when it is neither.
    """
    tensors = _read(path, key)
    unwrapped, wrapper = unwrap(tensors)
    if wrapper:
        LOG.info(f"{key}: every tensor of {path.name} is called {wrapper}...: read without it")
    return Donor(unwrapped, path.name)


def donor_from_network(model: torch.nn.Module) -> Donor:
    """What timm or torchvision has loaded."""
    return Donor(model.state_dict(), "the library's pretrained weights")


def unwrap(tensors: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], str]:
    """Tensors without the wrappers' names that all of theirs begin with, and what was cut off. Pure."""
    plain, cut = dict(tensors), ""
    while wrapper := next((w for w in WRAPPERS if plain and all(name.startswith(w) for name in plain)), None):
        plain = {name.removeprefix(wrapper): tensor for name, tensor in plain.items()}
        cut += wrapper
    return plain, cut


def fitted(donor: Donor, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors with the first convolution adapted to the network's channels by timm's rule (`adapt_first`).

    A 2-D ResNet's are inflated first where the network is a 3-D one.
    """
    tensors, wanted = dict(donor.tensors), model.state_dict()
    if is_flat(tensors) and "stem.0.weight" in wanted and wanted["stem.0.weight"].ndim == 5:
        tensors = inflated(tensors, model)
    first = getattr(model, "pretrained_cfg", {}).get("first_conv")
    name = f"{first}.weight" if isinstance(first, str) else ""
    if name in tensors and name in wanted and tensors[name].ndim == wanted[name].ndim:
        channels = wanted[name].shape[1]
        tensors[name] = tensors[name] if tensors[name].shape[1] == channels else adapt_first(tensors[name], channels)
    return tensors


def _read(path: Path, key: str) -> dict[str, torch.Tensor]:
    try:
        if is_foreign(path):
            return foreign_tensors(path, key)
        tensors: dict[str, torch.Tensor] = load_file(path)
        return tensors
    except FileNotFoundError as error:
        raise ChainError(f"{key}: {path} is missing", "no such file", "correct the path", ExitCode.MISSING) from error
    except (SafetensorError, OSError) as error:
        raise ChainError(
            f"{key}: {path} is not a safetensors file",
            str(error),
            "convert the weights to safetensors; of PyTorch's files those of tensors alone are read",
            ExitCode.BAD_DATA,
        ) from error
