"""What readers of image arrays share: which shapes are patches, which arrays are labels."""

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from data.errors import ChainError, ExitCode
from data.patches.table_words import is_lost
from data.pixels.modes import MAX_DEPTH, MAX_SIZE_PX


def check_images(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of one image of an array (N, H, W), (N, H, W, 1) or (N, H, W, 3), uint8 or uint16, or in HU:
    (N, H, W) or (N, H, W, slices), int16. Else ChainError (65).
    """
    hu = dtype.str[1:] == "i2"
    layers = range(1, MAX_DEPTH + 1) if hu else (1, 3)
    right = len(shape) == 3 or (len(shape) == 4 and shape[3] in layers)
    if not right or not (hu or dtype.str[1:] in ("u1", "u2")) or not all(1 <= n <= MAX_SIZE_PX for n in shape[1:3]):
        raise ChainError(
            f"{path}: {name!r} is no array of patches: {dtype} {shape}",
            "patches are (N, H, W), (N, H, W, 1) or (N, H, W, 3), 8 or 16 bits without sign, or in HU (N, H, W) or "
            f"(N, H, W, slices), int16, of 1 to {MAX_SIZE_PX} px a side and up to {MAX_DEPTH} slices",
            "write them so",
            ExitCode.BAD_DATA,
        )
    return math.prod(shape[1:]) * dtype.itemsize


def check_labels(path: Path, name: str, shape: tuple[int, ...], n: int) -> None:
    """Before labels are read: there is one a patch, in any shape squeezable to (N,). Else ChainError (65)."""
    if not shape or math.prod(shape) != n or max(shape) != n:
        raise ChainError(
            f"{path}: {name!r} has the shape {shape} for {n} patches",
            "there must be exactly one label a patch",
            "write one label a patch, or name the right array",
            ExitCode.BAD_DATA,
        )


def refuse_lost(path: Path, name: str, texts: Iterable[str], todo: str) -> None:
    """ChainError (65) for a text that stands for a lost value: it would be a class, or one patient of many."""
    if lost := next((text for text in texts if is_lost(text)), None):
        raise ChainError(f"{path}: {name!r} holds {lost!r}", "that is nearly always a lost value, seldom a name", todo,
                         ExitCode.BAD_DATA)  # fmt: skip


def label_texts(path: Path, name: str, values: np.ndarray, n: int, names: dict[str, str] | None) -> list[str]:
    """Labels as `check_labels` wants them, as texts without blanks around them; a negative number means no label.

    Else ChainError (65).
    """
    check_labels(path, name, values.shape, n)
    flat = values.reshape(-1)
    if flat.dtype.kind in "iub":
        known = {value: "" if value < 0 else str(int(value)) for value in np.unique(flat).tolist()}
    elif flat.dtype.kind in "SUO":
        known = {
            value: value.decode("utf-8", "strict") if isinstance(value, bytes) else str(value)
            for value in dict.fromkeys(flat.tolist())
        }
    else:
        raise ChainError(f"{path}: {name!r} holds {flat.dtype}", "labels are whole numbers or texts",
                         "write them so", ExitCode.BAD_DATA)  # fmt: skip
    known = {value: text.strip() for value, text in known.items()}
    texts = [known[value] for value in flat.tolist()]  # one text for all patches of a class
    if names is None:
        refuse_lost(
            path, name, known.values(), "write an empty text where it is unknown, or say in label_names what it is"
        )
        return texts
    if unnamed := sorted({text for text in texts if text and text not in names}):
        raise ChainError(f"{path}: label {unnamed[0]} of {name!r} is not in label_names",
                         f"label_names knows {', '.join(names)}", "add it", ExitCode.BAD_DATA)  # fmt: skip
    return [names[text] if text else "" for text in texts]
