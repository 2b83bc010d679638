"""What a patch is made of: mean and deviation of every channel of a network, at several depths.

The last layer of a network says what an image shows, having learnt to overlook how it looks. Stain, texture and the
look of nuclei are what earlier layers see, and in tissue they tell patches that belong together. Means and deviations
over all places, known as the style of an image (Huang and Belongie, "Arbitrary style transfer", ICCV 2017), do not
depend on where in the patch anything lies.
"""

import numpy as np
import torch

from data.errors import ChainError, ExitCode
from stages.networks.input_size import fed

DEPTHS = 5  # at most: of a convolutional network its stages, of a transformer blocks at equal distances


def width_of(network: torch.nn.Module) -> int:
    """Values a patch. Raises ChainError (78) for a network that does not show its depths."""
    info = _info(network)
    return sum(2 * int(info[k]["num_chs"]) for k in _depths(len(info)))


def styled(network: torch.nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One pass: logits (B, K) as `network(image)` gives them, and the style (B, `width_of`) float32.

    image: normalised (B, C, H, W).
    """
    depths = _depths(len(_info(network)))
    last, maps = network.forward_intermediates(fed(network, image), indices=depths, output_fmt="NCHW")  # type: ignore[operator]
    logits: torch.Tensor = network.forward_head(last)  # type: ignore[operator]
    # of one place alone the deviation is 0, not undefined
    parts = [f(one.float().flatten(2)) for one in maps for f in (_mean, _deviation)]
    return logits, torch.cat(parts, dim=1)


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.mean(2)


def _deviation(values: torch.Tensor) -> torch.Tensor:
    return values.std(2, correction=0)


def _depths(count: int) -> list[int]:
    return sorted({int(k) for k in np.linspace(0, count - 1, min(count, DEPTHS)).round()})


def _info(network: torch.nn.Module) -> list[dict[str, int]]:
    info = getattr(network, "feature_info", None)
    if not info or not hasattr(network, "forward_intermediates"):
        raise ChainError(
            f"predict.encoder.style: {type(network).__name__} does not show what it sees on the way",
            "the style of a patch is read at several depths of a network of timm (forward_intermediates)",
            "set predict.encoder.style: false, or choose another backbone for the encoder",
            ExitCode.MISMATCH,
        )
    return list(info)
