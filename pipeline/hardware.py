"""What the command line asks of this machine and it has not: refused before anything is run."""

import importlib
from importlib.util import find_spec

from data.errors import ChainError, ExitCode
from stages.job import Hardware

HERE = ("in_process", "torchrun")  # others start the stages on machines whose devices are not known here


def refuse_absent(hardware: Hardware, launcher: str) -> None:
    """Raise ChainError (2) for a logger whose package is not installed, and for a GPU that is not there.

    launcher: the resolved one. The stages refuse both too, but only when a training begins: all patches are read then.
    """
    for name in hardware.loggers:
        if find_spec(name) is None:
            raise ChainError(
                f"--logger {name}: the package {name} is not installed",
                "it is an extra",
                f"pip install 'patchchain[{name}]', or leave the flag out",
                ExitCode.USAGE,
            )
    if hardware.device != "cuda" or launcher not in HERE:
        return
    torch = importlib.import_module("torch")  # seconds, which only who asks for a GPU by name pays twice
    if not torch.cuda.is_available():
        raise ChainError(
            "--device cuda: torch sees no CUDA device",
            f"torch {torch.__version__} reports none",
            "check the driver (nvidia-smi), or use --device cpu",
            ExitCode.USAGE,
        )
