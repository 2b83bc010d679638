"""Which tensors of a network are its stem, its stages and its classifier, as timm groups them."""

import torch
from timm.models import group_parameters

from data.errors import ChainError, ExitCode


def classifier_of(model: torch.nn.Module) -> frozenset[str]:
    """Names of the tensors of the last layer, which is never taken over."""
    heads = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    prefixes = tuple(f"{head}." for head in ((heads,) if isinstance(heads, str) else heads))
    return frozenset(name for name in model.state_dict() if name.startswith(prefixes))


def stages_of(model: torch.nn.Module, key: str) -> dict[str, int]:
    """Tensor name -> 0 for the stem, 1, 2, ... for the stages; the classifier and what stands right before it last.

    Raises ChainError (78), naming `key`, for a network that timm cannot cut into stages.
    """
    found = _grouped(model, coarse=True, key=key)
    of_module: dict[str, int] = {}
    for name, stage in found.items():
        for module in _modules_around(name):
            of_module.setdefault(module, stage)
    # timm groups parameters; a running mean belongs to the weights it stands beside
    return {
        name: found[name] if name in found else next(of_module[m] for m in _modules_around(name) if m in of_module)
        for name in model.state_dict()
    }


def layers_of(model: torch.nn.Module, key: str) -> dict[str, int]:
    """Parameter name -> depth, counted in layers (blocks) from the stem, 0; the classifier is the last. See above."""
    return _grouped(model, coarse=False, key=key)


def count_stages(stages: dict[str, int]) -> int:
    """How many stages lie between stem and classifier."""
    return max(stages.values()) - 1


def _grouped(model: torch.nn.Module, coarse: bool, key: str) -> dict[str, int]:
    matcher = getattr(model, "group_matcher", None)
    if matcher is None:
        raise ChainError(
            f"{key}: {type(model).__name__} cannot be cut into stages",
            "timm has no grouping of its layers (group_matcher)",
            "choose another backbone, or leave this setting out",
            ExitCode.MISMATCH,
        )
    found: dict[str, int] = group_parameters(model, matcher(coarse=coarse), reverse=True)
    return found


def _modules_around(name: str) -> list[str]:
    """Of a tensor, the innermost first, the network itself ("") last."""
    parts = name.split(".")[:-1]
    return [".".join(parts[:n]) for n in range(len(parts), -1, -1)]
