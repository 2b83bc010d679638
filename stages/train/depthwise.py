"""Under bf16 on a CPU a training's depthwise convolutions compute in 32 bits, all else in bf16.

oneDNN has no fast way back through a depthwise convolution in bf16: that alone made a step of lite0 take longer than in
32 bits (docs/performance.md). Forward there is one, so networks that only score are left as they are.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


@contextlib.contextmanager
def depthwise_in_full(network: torch.nn.Module, flags: dict[str, Any]) -> Iterator[None]:
    """For a training of `network` with a Trainer of `flags`; nothing but this changes, and afterwards nothing has."""
    wanted = flags["accelerator"] == "cpu" and flags["precision"] == "bf16-mixed"
    own = [(part, type(part)) for part in network.modules() if wanted and _is_depthwise(part)]
    for part, kind in own:
        part.__class__ = _in_full(kind)  # not a function of its own: a copy of it would keep these weights
    try:
        yield
    finally:
        for part, kind in own:
            part.__class__ = kind


def _is_depthwise(part: torch.nn.Module) -> bool:
    return isinstance(part, torch.nn.Conv2d) and 1 < part.groups == part.in_channels


def _in_full(kind: Any) -> Any:
    def forward(self: torch.nn.Conv2d, image: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            found: torch.Tensor = kind.forward(self, image.float())
            return found

    return type(kind.__name__, (kind,), {"forward": forward})
