"""Networks by timm's names, 3-D ones by torchvision's, and their first weights. Refuses to load less than asked for."""

import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save_file

from data.errors import ChainError, ExitCode
from data.files.atomic import replacing
from data.pixels.network_input import NetworkInput
from stages.networks.ensemble import Ensemble
from stages.networks.init.begin import begin
from stages.networks.init.donor import donor_from_file, donor_from_network
from stages.networks.init.slim import slim_kwargs
from stages.networks.input_size import feed_at
from stages.networks.model_card import ModelCard
from stages.networks.volume import KINETICS_MEAN, KINETICS_STD, NAMES, create_volume_network, is_volume_network
from stages.train.config import StudentConfig, TrainConfig

LOG = logging.getLogger("patchchain")


def create(name: str, timm_kwargs: dict[str, Any], key: str) -> torch.nn.Module:
    """timm.create_model with errors a user can read. `key` is the configuration key to name."""
    volume = is_volume_network(name)
    try:
        if not volume and not timm.is_model(name):  # a name such as hf-hub:... would be looked up in a network
            raise ValueError("no model is registered under this name")
        model: torch.nn.Module = (create_volume_network if volume else timm.create_model)(name, **timm_kwargs)
    except TypeError as error:
        raise ChainError(
            f"{key}: {name} does not accept {timm_kwargs}",
            str(error),
            "set dropout and drop_path to 0 for this backbone, or choose another",
            ExitCode.MISMATCH,
        ) from error
    except (RuntimeError, ValueError) as error:
        known = NAMES if volume else timm.list_models()
        near = get_close_matches(name, known, n=3)
        raise ChainError(
            f"{key}: {'torchvision' if volume else 'timm'} has no model {name!r}",
            str(error),
            f"did you mean {', '.join(near)}?" if near else "timm.list_models() gives the names",
            ExitCode.MISMATCH,
        ) from error
    except OSError as error:  # hub not reachable, file not in the cache
        raise ChainError(
            f"{key}: the pretrained weights of {name} could not be had",
            str(error),
            "download them on a machine with a network and use init: {kind: full, path: ...}",
            ExitCode.MISSING,
        ) from error
    return model if volume else model.to(memory_format=torch.channels_last)


def network_kwargs(section: TrainConfig, num_classes: int, kind: NetworkInput) -> dict[str, Any]:
    """What `create` needs to rebuild this network (without the noise, which holds no weights)."""
    if is_volume_network(section.backbone):
        return {"num_classes": num_classes, "in_chans": kind.views, "depth": kind.depth}
    kwargs: dict[str, Any] = {"num_classes": num_classes, "in_chans": kind.channels}
    cfg = timm.models.get_pretrained_cfg(section.backbone) if timm.is_model(section.backbone) else None
    if cfg is not None and cfg.fixed_input_size:
        kwargs["img_size"] = kind.size_px  # transformers have position embeddings of one size
    if section.init.kind == "slim":
        kwargs |= slim_kwargs(section.backbone, section.init.copied_stages, "init.kind")
    return kwargs


def first_network(section: TrainConfig, num_classes: int, kind: NetworkInput, key: str) -> torch.nn.Module:
    """The untrained network of a stage, with its first weights. Draws from torch's global generator.

    Says how many tensors it took over. Raises ChainError (65, 66, 78) naming the key at fault, for instance a 3-D
    network for patches of one slice, or a file that has not all that `init` promises.
    """
    model, words = begun_network(section, num_classes, kind, key)
    if section.init.kind != "random":
        LOG.info(f"{key}.init: {words}")
    return model


def begun_network(section: TrainConfig, num_classes: int, kind: NetworkInput, key: str) -> tuple[torch.nn.Module, str]:
    """`first_network` and what was taken over, in words."""
    if is_volume_network(section.backbone) and kind.depth == 1:
        raise ChainError(
            f"{key}.backbone: {section.backbone} is a 3-D network",
            f"the patches have one slice (data.mode: {kind.mode}, data.depth: {kind.depth})",
            "choose a timm backbone, or patches in HU of several slices",
            ExitCode.MISMATCH,
        )
    kwargs = network_kwargs(section, num_classes, kind)
    noise: dict[str, Any] = {}
    if isinstance(section, StudentConfig):
        noise |= {"drop_rate": section.dropout} if section.dropout else {}
        noise |= {"drop_path_rate": section.drop_path} if section.drop_path else {}
    init = section.init
    if init.kind == "random":
        return create(section.backbone, kwargs | noise, f"{key}.backbone"), "random weights"
    if init.path is not None:
        donor = donor_from_file(init.path, f"{key}.init.path")
    else:
        whole = {name: value for name, value in kwargs.items() if name != "channels"}
        donor = donor_from_network(create(section.backbone, whole | {"pretrained": True}, f"{key}.backbone"))
    model = create(section.backbone, kwargs | noise, f"{key}.backbone")
    return model, begin(model, init, donor, f"{key}.init")


def normalisation(
    section: TrainConfig, kind: NetworkInput, stats: tuple[list[float], list[float]]
) -> tuple[list[float], list[float]]:
    """Mean and std per channel in [0, 1]: the pretrained network's (`init`, else timm's), else the data's (`stats`).

    Where there are other channels than its own, they get what the first convolution was adapted from
    (`adapt_first` of volume networks).
    """
    init, volume = section.init, is_volume_network(section.backbone)
    if init.kind == "random":
        return stats
    own: tuple[Sequence[float], Sequence[float]] = KINETICS_MEAN, KINETICS_STD
    if init.mean is not None and init.std is not None:
        own = init.mean, init.std
    elif not volume:
        cfg = timm.models.get_pretrained_cfg(section.backbone)
        assert cfg is not None, "a network with pretrained weights has their configuration"
        own = cfg.mean, cfg.std
    # of a volume network channels are the windows; slices share them
    mean, std = (_spread(values, *((kind.views, kind.depth) if volume else (kind.channels, 1))) for values in own)
    return mean, std


def _spread(own: Sequence[float], channels: int, each: int) -> list[float]:
    values = [sum(own) / len(own)] if channels == 1 else [own[i % len(own)] for i in range(channels)]
    return [float(value) for value in values for _ in range(each)]


def all_finite(tensor: torch.Tensor) -> bool:
    """Whether it holds neither infinities nor what is not a number."""
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """Write weights as safetensors. Raises ChainError (3) for any non-finite value: such a model never leaves."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    bad = [name for name, tensor in state.items() if not all_finite(tensor)]
    if bad:
        raise ChainError(
            f"{len(bad)} weight tensors are not finite, for instance {bad[0]}",
            "the training diverged",
            "lower lr, or set clip_norm; the last good stage is untouched",
            ExitCode.DIVERGED,
        )
    with replacing(path) as part:
        save_file(state, part)


def network_of(card: ModelCard, noise: Mapping[str, Any] | None = None, key: str = "model.json") -> torch.nn.Module:
    """The network, or ensemble, of a card, without its weights. noise: rates that timm takes when it makes one."""
    noise = noise or {}
    if card.members:
        networks = [create(one.name, {**one.timm_kwargs, **noise}, key) for one in card.members]
        return Ensemble(networks, [(one.mean, one.std) for one in card.members], (card.mean, card.std))
    network = create(card.name, {**card.timm_kwargs, **noise}, key)
    feed_at(network, card.input_px)
    return network


def load_network(directory: Path) -> tuple[torch.nn.Module, ModelCard]:
    """The finished network of a stage directory, in eval mode, every tensor accounted for."""
    card = ModelCard.load(directory / "model.json")
    model = network_of(card)
    if isinstance(model, Ensemble):
        for network, member in zip(model.members, card.members, strict=True):
            network.load_state_dict(load_file(directory / member.file), strict=True)
    else:
        model.load_state_dict(load_file(directory / "model.safetensors"), strict=True)
    return model.eval(), card
