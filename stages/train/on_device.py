"""`--noise-on device`: what was drawn for a batch, done to its patches at once, where the network computes.

The loader draws as ever and sends what it drew (`data.augment.drawn`); here is torch's counterpart of what OpenCV does
with it. After each operation 8-bit patches are 8-bit again, rounded as OpenCV rounds, so a view differs from the
loader's by a step of grey here and there: tests/stages/train/test_on_device.py states by how much. All is element-wise
or interpolation in 32 bits, no matrix product: nothing falls to TF32 or autocast.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch.nn.functional import grid_sample, pad

from data.augment.ct import AIR_HU
from data.augment.drawn import KERNEL, Drawn, gathered
from data.augment.grain import row

AT_ONCE = 64  # patches: what an operation takes of the memory beside the network is bounded

Tensor = torch.Tensor
Operation = Callable[[Tensor, Tensor], Tensor]


class Group(NamedTuple):
    """One operation of a batch. rows: (K,) int64, the patches it was drawn for; values: (K, ...) float32 of each."""

    rows: Tensor
    values: Tensor


def groups(drawn: Sequence[Sequence[Drawn]]) -> dict[str, Group]:
    """What was drawn for the patches of a batch, as it travels to the device."""
    return {name: Group(*map(torch.from_numpy, arrays)) for name, arrays in gathered(drawn).items()}


def disturbed(image: Tensor, drawn: Mapping[str, Group]) -> Tensor:
    """A new batch with all of it done. image: (B, C, S, S) uint8, or float32 in [0, 1]; of the same shape and type.

    Or image: (B, D, S, S) int16 HU, seen through windows on the way: returns (B, W * D, S, S) float32 in [0, 1].
    """
    most = {torch.uint8: 255.0, torch.float32: 1.0}.get(image.dtype)
    # a channel's pixels side by side, which all of this is faster on; the copy keeps the batch that was given
    image = image.to(torch.float32 if most is None else image.dtype, memory_format=torch.contiguous_format, copy=True)
    for name, (rows, values) in drawn.items():
        if name == "Windowed":
            image = _windowed(image, values)
            continue
        for first in range(0, len(rows), AT_ONCE):
            some, numbers = rows[first : first + AT_ONCE], values[first : first + AT_ONCE]
            image[some] = _done(name, image[some], numbers, most)
    return image


def _done(name: str, image: Tensor, values: Tensor, most: float | None) -> Tensor:
    if name in MOVING:
        return MOVING[name](image, values)
    if image.dtype != torch.uint8:
        found = OPERATIONS[name](image, values)
        return found if most is None else found.clamp_(0, most)
    found = EIGHT_BIT.get(name, OPERATIONS[name])(image.float(), values)
    return found.round_().clamp_(0, most).to(torch.uint8)


# --- operations: patches (K, C, S, S) float32, values (K, ...): new patches, not yet rounded; or moved, of any type ---


def _restained(image: Tensor, mixing: Tensor) -> Tensor:
    # density = ln 256 - ln(value + 1): the constant rides on the shift, so that there is less to do to every pixel
    found = (mixing[:, :, 3] + math.log(256) * mixing[:, :, :3].sum(2))[:, :, None, None]
    logarithm = image.log1p()
    for c in range(3):
        found = torch.addcmul(found, mixing[:, :, c, None, None], logarithm[:, c, None], value=-1)
    return found.expm1_()


def _turned(image: Tensor, factor: Tensor) -> Tensor:
    # all turns of all, of which each takes its own: to ask which are which would be to wait for the device
    found = image
    for quarters in (1, 2, 3):
        found = torch.where(factor.view(-1, 1, 1, 1) == quarters, torch.rot90(image, quarters, (2, 3)), found)
    return found


def _reordered(image: Tensor, order: Tensor) -> Tensor:
    return image.gather(1, order.long()[:, :, None, None].expand_as(image))


def _moved(image: Tensor, back: Tensor) -> Tensor:
    (a, b, right), (c, d, down) = ((value[:, None, None] for value in row.unbind(1)) for row in back.unbind(1))
    y, x = _places(image)
    return _sampled(image, a * x + b * y + right, c * x + d * y + down)


def _cropped(image: Tensor, corners: Tensor) -> Tensor:
    left, top, right, bottom = (value[:, None, None] for value in corners.unbind(1))
    size = image.shape[-1]
    y, x = (
        first + torch.minimum(((place + 0.5) * (side / size) - 0.5).clamp(min=0), side - 1)
        for place, first, side in zip(_places(image), (top, left), (bottom - top, right - left), strict=True)
    )
    return _sampled(image, x, y)


def _lit(image: Tensor, values: Tensor) -> Tensor:
    factor, offset = (value.view(-1, 1, 1, 1) for value in values.unbind(1))
    return image * factor + offset


def _blurred(image: Tensor, kernel: Tensor) -> Tensor:
    size, around = image.shape[-1], KERNEL // 2
    weights = [value.view(-1, 1, 1, 1) for value in kernel.unbind(1)]
    wide = pad(image, (around,) * 4, mode="reflect")
    across = torch.stack([weight * wide[..., i : i + size] for i, weight in enumerate(weights)]).sum(0)
    return torch.stack([weight * across[..., i : i + size, :] for i, weight in enumerate(weights)]).sum(0)


def _rescaled(hu: Tensor, values: Tensor) -> Tensor:
    return _lit(hu - AIR_HU, values)


def _grained(image: Tensor, values: Tensor) -> Tensor:
    place, deviation = values.unbind(1)
    channels, *sides = image.shape[1:]
    size = channels * math.prod(sides)
    grain = _row(size, image.device).unfold(0, size, 1)[place.long()].view(-1, *sides, channels)
    return image + deviation.view(-1, 1, 1, 1) * grain.permute(0, 3, 1, 2)


@lru_cache(maxsize=4)
def _row(size: int, device: torch.device) -> Tensor:
    return torch.from_numpy(row(size).copy()).to(device)


def _cut(image: Tensor, hole: Tensor) -> Tensor:
    top, bottom, left, right, fill = (value.view(-1, 1, 1, 1) for value in hole.unbind(1))
    y, x = _places(image)
    return torch.where((y >= top) & (y < bottom) & (x >= left) & (x < right), fill, image)


def _windowed(hu: Tensor, windows: Tensor) -> Tensor:
    scale, offset = (value[:, :, None, None, None] for value in windows.unbind(2))
    return (hu[:, None] * scale + offset).clamp(0, 1).flatten(1, 2)


def _places(image: Tensor) -> tuple[Tensor, Tensor]:
    size = torch.arange(image.shape[-1], dtype=torch.float32, device=image.device)
    return size[:, None], size[None, :]


def _sampled(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    # bilinear at these pixels; what is outside is the mirror image (reflect_101): torch has both with align_corners
    step = 2 / (image.shape[-1] - 1)
    grid = torch.stack([axis.expand(-1, *image.shape[2:]) * step - 1 for axis in (x, y)], -1)
    return grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


MOVING: dict[str, Operation] = {
    "HorizontalFlip": lambda image, _: image.flip(3),
    "VerticalFlip": lambda image, _: image.flip(2),
    "Turn": _turned,
    "Slices": _reordered,
}
OPERATIONS: dict[str, Operation] = {
    "Stain": _restained,
    "Affine": _moved,
    "Moved": _moved,
    "RandomResizedCrop": _cropped,
    "Light": _lit,
    "GaussianBlur": _blurred,
    "Rescaled": _rescaled,
    "Grain": _grained,
    "Cutout": _cut,
}
# on 8-bit patches results are rounded, but for this one: albumentations cuts off what it comes to
EIGHT_BIT: dict[str, Operation] = {"Light": lambda image, values: _lit(image, values).floor()}
