"""Networks that are fed larger images than the patches are: enlarged at the door, by whoever uses the network."""

from typing import Any

import torch


def feed_at(model: torch.nn.Module, size_px: int | None) -> None:
    """Resize what the network is given to size_px, bilinearly; None: as it comes. May be changed at any time.

    A hook, not a layer around it: the names of the tensors stay the library's.
    """
    if not hasattr(model, "input_px"):
        if size_px is None:
            return
        model.register_forward_pre_hook(_resized, prepend=True)
    model.input_px = size_px  # type: ignore[assignment]


def fed(model: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) as the network is given it: for those who go past its door (`forward_intermediates`)."""
    size: int | None = vars(model).get("input_px")
    if size is None or image.shape[-1] == size:
        return image
    sized = torch.nn.functional.interpolate(image, size=(size, size), mode="bilinear", align_corners=False)
    return sized.contiguous(memory_format=torch.channels_last)


def _resized(module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[torch.Tensor]:
    return (fed(module, args[0]),)
