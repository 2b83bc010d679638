"""From hardware flags to Lightning's trainer arguments."""

import logging
import os
import warnings
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from data.errors import ChainError, ExitCode
from stages.job import Hardware


def prepare(hardware: Hardware) -> dict[str, Any]:
    """Set torch's threads and return what every `Trainer` here is built with: one device, quiet, our samplers."""
    if hardware.threads:  # else torch's own choice, which heeds OMP_NUM_THREADS and a scheduler's share of cores
        torch.set_num_threads(hardware.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # devices and tips: not news to our users
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")  # about loaders and samplers that are meant so
    cuda = torch.cuda.is_available()
    if hardware.device == "cuda" and not cuda:
        raise ChainError(
            "--device cuda: torch sees no CUDA device",
            f"torch {torch.__version__} reports none",
            "check the driver (nvidia-smi), or use --device cpu",
            ExitCode.USAGE,
        )
    use_cuda = cuda and hardware.device != "cpu"
    return {
        "accelerator": "gpu" if use_cuda else "cpu",
        "devices": 1,
        "precision": "bf16-mixed" if hardware.precision == "bf16" else "32-true",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        # inside a SLURM job Lightning would take over SIGUSR1 and requeue by itself
        "plugins": [LightningEnvironment()],
    }


def loader_workers(hardware: Hardware) -> int:
    """Loader processes: as asked; on the CPU none by default, since they take the model's cores."""
    if hardware.workers:
        return hardware.workers
    on_gpu = torch.cuda.is_available() and hardware.device != "cpu"
    return min(8, max(0, (os.cpu_count() or 1) - 1)) if on_gpu else 0
