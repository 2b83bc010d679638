"""Checkpoints of elsewhere (.pth, .bin, .ckpt): tensors by name, or refused. There is no way to run what one holds.

What `plain_load` lets pass is looked at again: a tensor that is expanded (a few bytes that claim terabytes), sparse or
nowhere is not taken, and no packed archive is unpacked.
"""

import zipfile
from pathlib import Path
from typing import Any

import torch

from data.errors import ChainError, ExitCode
from stages.networks.plain_load import NotPlainError, load_plain

ZIP = b"PK\x03\x04"
# under which the tensors of a network stand in a training's checkpoint, the first that is there
PLACES = ("state_dict", "model_state_dict", "model", "teacher")
MOST_ENTRIES = 100_000


def is_foreign(path: Path) -> bool:
    """Whether a file is a zip, as PyTorch has written them since 1.6. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(ZIP)) == ZIP


def foreign_tensors(path: Path, key: str) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint on the CPU. Raises ChainError (65), naming `key`, for anything but tensors."""
    _refuse_packed(path, key)
    try:
        held = load_plain(path)
    except NotPlainError as error:
        raise _refused(path, key, str(error)) from error
    places = [held, *(held.get(place) for place in PLACES)] if isinstance(held, dict) else []
    tensors = next((found for found in places if _is_named_tensors(found)), None)
    if tensors is None:
        raise _refused(path, key, f"neither it nor its {', '.join(PLACES)} is tensors by name, and nothing else")
    for name, tensor in tensors.items():
        stored = tensor.untyped_storage().nbytes() if tensor.layout == torch.strided and not tensor.is_meta else -1
        if tensor.numel() * tensor.element_size() > stored or tensor.is_quantized:
            raise _refused(path, key, f"{name!r} is no plain tensor: {tensor.layout}, shape {tuple(tensor.shape)}")
    # a parameter is a tensor that asks for a gradient
    return {name: tensor.detach() for name, tensor in tensors.items()}


def _refuse_packed(path: Path, key: str) -> None:
    """What PyTorch writes is stored as it is: packed entries can only be a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _refused(path, key, f"it is a damaged archive: {error}") from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise _refused(path, key, "it declares more than it stores, or is packed, which PyTorch's files are not")


def _is_named_tensors(held: Any) -> bool:
    whole = isinstance(held, dict) and bool(held)
    return whole and all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in held.items())


def _refused(path: Path, key: str, why: str) -> ChainError:
    return ChainError(
        f"{key}: {path} does not hold tensors alone",
        why,
        "load it where you trust it, and save its tensors with safetensors.torch.save_file; here nothing is unpickled",
        ExitCode.BAD_DATA,
    )
