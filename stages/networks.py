"""Networks by timm's names, 3-D ones by torchvision's, and their first weights. Refuses to load less than asked for."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from data.atomic import replacing
from data.errors import ChainError, ExitCode
from data.network_input import NetworkInput
from stages.model_card import ModelCard
from stages.train.config import StudentConfig, TrainConfig
from stages.volume_networks import (
    KINETICS_MEAN,
    KINETICS_STD,
    NAMES,
    adapt_first,
    create_volume_network,
    is_volume_network,
)


def create(name: str, timm_kwargs: dict[str, Any], key: str) -> torch.nn.Module:
    """timm.create_model with errors a user can read. `key` is the configuration key to name."""
    volume = is_volume_network(name)
    try:
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
            "download them on a machine with a network and use init: {kind: pretrained, path: ...}",
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
    return kwargs


def first_network(section: TrainConfig, num_classes: int, kind: NetworkInput, key: str) -> torch.nn.Module:
    """The untrained network of a stage, with its first weights. Draws from torch's global generator.

    Raises ChainError (66, 78) naming the key at fault, for instance a 3-D network for patches of one slice.
    """
    if is_volume_network(section.backbone) and kind.depth == 1:
        raise ChainError(
            f"{key}.backbone: {section.backbone} is a 3-D network",
            f"the patches have one slice (data.mode: {kind.mode}, data.depth: {kind.depth})",
            "choose a timm backbone, or patches in HU of several slices",
            ExitCode.MISMATCH,
        )
    kwargs = network_kwargs(section, num_classes, kind)
    if isinstance(section, StudentConfig):
        kwargs |= {"drop_rate": section.dropout} if section.dropout else {}
        kwargs |= {"drop_path_rate": section.drop_path} if section.drop_path else {}
    path = section.init.path
    if section.init.kind == "pretrained" and path is None:
        return create(section.backbone, kwargs | {"pretrained": True}, f"{key}.backbone")
    model = create(section.backbone, kwargs, f"{key}.backbone")
    if path is not None:
        load_pretrained(model, path, f"{key}.init.path")
    return model


def load_pretrained(model: torch.nn.Module, path: Path, key: str) -> int:
    """Load every tensor but the classifier's from a safetensors file; returns how many were loaded.

    The first convolution is adapted to another number of channels by timm's rule (`adapt_first`). Raises ChainError
    (78) when any other tensor of the network is absent or of another shape: half a transfer is worse than a refusal.
    """
    found = _read_safetensors(path, key)
    cfg = getattr(model, "pretrained_cfg", {})
    heads = cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    wanted = model.state_dict()
    body = {name for name in wanted if not name.startswith(tuple(f"{head}." for head in heads))}
    first = cfg.get("first_conv")
    name = f"{first}.weight" if isinstance(first, str) else ""
    if name in found and name in wanted and found[name].shape[1] != wanted[name].shape[1]:
        found[name] = adapt_first(found[name], wanted[name].shape[1])
    absent = sorted(n for n in body if n not in found and not n.endswith("num_batches_tracked"))
    misfit = sorted(n for n in body & found.keys() if found[n].shape != wanted[n].shape)
    if absent or misfit:
        raise ChainError(
            f"{key}: {path} does not fit {cfg.get('architecture', type(model).__name__)}",
            f"{len(absent)} of {len(body)} tensors are absent and {len(misfit)} have another shape, "
            f"for instance {(absent + misfit)[0]}",
            "name the backbone these weights were trained as, with timm's tensor names",
            ExitCode.MISMATCH,
        )
    model.load_state_dict({n: found[n] for n in body & found.keys()}, strict=False)
    return len(body & found.keys())


def normalisation(
    section: TrainConfig, kind: NetworkInput, stats: tuple[list[float], list[float]]
) -> tuple[list[float], list[float]]:
    """Mean and std per channel in [0, 1]: the pretrained network's own, else the data's (`stats`).

    Where there are other channels than its own, they get what the first convolution was adapted from (`adapt_first`).
    """
    if section.init.kind == "random":
        return stats
    if is_volume_network(section.backbone):  # its channels are the windows; slices share them
        mean, std = (_spread(own, kind.views, kind.depth) for own in (KINETICS_MEAN, KINETICS_STD))
        return mean, std
    cfg = timm.models.get_pretrained_cfg(section.backbone)
    assert cfg is not None, "a network with pretrained weights has their configuration"
    return _spread(cfg.mean, kind.channels, 1), _spread(cfg.std, kind.channels, 1)


def _spread(own: Sequence[float], channels: int, each: int) -> list[float]:
    values = [sum(own) / len(own)] if channels == 1 else [own[i % len(own)] for i in range(channels)]
    return [float(value) for value in values for _ in range(each)]


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """Write weights as safetensors. Raises ChainError (3) for any non-finite value: such a model never leaves."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise ChainError(
            f"{len(bad)} weight tensors are not finite, for instance {bad[0]}",
            "the training diverged",
            "lower lr, or set clip_norm; the last good stage is untouched",
            ExitCode.DIVERGED,
        )
    with replacing(path) as part:
        save_file(state, part)


def load_network(directory: Path) -> tuple[torch.nn.Module, ModelCard]:
    """The finished network of a stage directory, in eval mode, every tensor accounted for."""
    card = ModelCard.load(directory / "model.json")
    model = create(card.name, card.timm_kwargs, "model.json")
    model.load_state_dict(load_file(directory / "model.safetensors"), strict=True)
    return model.eval(), card


def _read_safetensors(path: Path, key: str) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
        return tensors
    except FileNotFoundError as error:
        raise ChainError(f"{key}: {path} is missing", "no such file", "correct the path", ExitCode.MISSING) from error
    except (SafetensorError, OSError) as error:
        raise ChainError(
            f"{key}: {path} is not a safetensors file",
            str(error),
            "convert the weights to safetensors; pickled checkpoints are not read",
            ExitCode.BAD_DATA,
        ) from error
