"""What is asked for and this machine has not: the same words from its command line and from a stage."""

import importlib
from importlib.util import find_spec

from data.errors import ChainError, ExitCode


def refuse_absent_logger(name: str) -> None:
    """Raise ChainError (2) where the package of a logger is not installed."""
    if find_spec(name) is None:
        raise ChainError(
            f"--logger {name}: the package {name} is not installed",
            "it is an extra",
            f"pip install 'patchchain[{name}]', or leave the flag out",
            ExitCode.USAGE,
        )


def refuse_absent_gpu() -> None:
    """Raise ChainError (2) where torch sees no CUDA device."""
    torch = importlib.import_module("torch")  # seconds, which the command line pays only for who names a GPU
    if not torch.cuda.is_available():
        raise ChainError(
            "--device cuda: torch sees no CUDA device",
            f"torch {torch.__version__} reports none",
            "check the driver (nvidia-smi), or use --device cpu",
            ExitCode.USAGE,
        )
