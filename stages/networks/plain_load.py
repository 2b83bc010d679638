"""The one place where a file of PyTorch's is read: tensors and plain values, or nothing.

PyTorch's files are pickles in a zip. `weights_only=True` is said explicitly, because an environment variable flips the
default (TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD); what it refuses is refused, and no flag loads it all the same.
"""

from pathlib import Path
from typing import Any

import torch


class NotPlainError(Exception):
    """The file holds more than tensors and plain values, or is damaged; says what."""


def load_plain(path: Path, map_location: Any = "cpu") -> Any:
    """What `torch.save` wrote. Raises NotPlainError, OSError, MemoryError, torch.OutOfMemoryError."""
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except (OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines()]
        # of a page of advice the line that names what would have been called
        words = next((line for line in lines if "GLOBAL" in line), lines[0] if lines else type(error).__name__)
        raise NotPlainError(f"PyTorch says: {words[:200]}") from error
