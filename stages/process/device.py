"""From hardware flags to Lightning's trainer arguments, for one process and for the ranks of a training."""

import logging
import os
import warnings
from functools import cache
from typing import Any

import cv2
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy

from data.cores import cores
from stages.job import Hardware
from stages.process.absent import refuse_absent_gpu
from stages.process.allocator import keep_freed_memory
from stages.process.distributed import local_rank, rank, world_size
from stages.process.sharded import ShardedStrategy

LOG = logging.getLogger("patchchain")


def prepare(hardware: Hardware) -> dict[str, Any]:
    """Set torch's threads and return what every `Trainer` here is built with: one device, quiet, our samplers.

    A rank gets the device of its number. Raises ChainError (2) where there is no such device.
    """
    if hardware.threads:  # else torch's own choice, which heeds OMP_NUM_THREADS and a scheduler's share of cores
        torch.set_num_threads(hardware.threads)
    cv2.setNumThreads(1)  # patches are read side by side, each by a thread or process of ours; forks keep to it
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # devices and tips: not news to our users
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")  # about loaders and samplers that are meant so
    if hardware.device == "cuda":
        refuse_absent_gpu()
    use_cuda = torch.cuda.is_available() and hardware.device != "cpu"
    if use_cuda:
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    else:
        keep_freed_memory()
        if hardware.precision == "bf16" and not has_bf16():
            _warn_of_bf16()
    return {
        "accelerator": "gpu" if use_cuda else "cpu",
        "devices": [local_rank() % torch.cuda.device_count()] if use_cuda else 1,
        "precision": "bf16-mixed" if hardware.precision == "bf16" else "32-true",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        # inside a SLURM job Lightning would take over SIGUSR1 and requeue by itself
        "plugins": [LightningEnvironment()],
    }


def has_bf16() -> bool:
    """Whether this processor computes in bf16, and does not only imitate it."""
    # as torch's own compiler asks
    return bool(torch._C._has_mkldnn) and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@cache  # once a process: a chain prepares anew for every training and labelling
def _warn_of_bf16() -> None:
    LOG.warning("--precision bf16: this processor has no arithmetic for it and takes several times as long as with 32")


def device_of(flags: dict[str, Any]) -> torch.device:
    """Where a `Trainer` of these arguments computes. flags: of `prepare`."""
    return torch.device("cuda", flags["devices"][0]) if flags["accelerator"] == "gpu" else torch.device("cpu")


def in_ranks(flags: dict[str, Any], strategy: str, frozen_later: bool) -> dict[str, Any]:
    """The arguments of `prepare` for a training that all ranks of a started process group do together.

    strategy: ddp | fsdp; frozen_later: parameters that are trained now are frozen in a later phase, so that then not
    all have gradients.
    """
    if world_size() == 1:
        return flags
    # buffers are not sent around: every rank has the statistics of the whole batch, and averages weights by itself
    chosen = DDPStrategy(broadcast_buffers=False, find_unused_parameters=frozen_later)
    if strategy == "fsdp":
        chosen = ShardedStrategy()
    return flags | {"num_nodes": world_size(), "strategy": chosen, "plugins": [Ranks()]}


def backend(hardware: Hardware) -> str:
    """How ranks speak: NCCL where each has a GPU of its own, else gloo."""
    use_cuda = torch.cuda.is_available() and hardware.device != "cpu"
    if use_cuda and torch.cuda.device_count() < hardware.devices:
        LOG.warning(f"{hardware.devices} processes share {torch.cuda.device_count()} GPU(s): this is for trying out")
        return "gloo"
    return "nccl" if use_cuda else "gloo"


class Ranks(ClusterEnvironment):
    """Ranks that are started by whoever set RANK and WORLD_SIZE; to Lightning each is a machine with one device."""

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning starts none."""
        return True

    @property
    def main_address(self) -> str:
        """Where ranks meet."""
        return os.environ["MASTER_ADDR"]

    @property
    def main_port(self) -> int:
        """See `main_address`."""
        return int(os.environ["MASTER_PORT"])

    @staticmethod
    def detect() -> bool:
        """Never guessed: it is given to every Trainer."""
        return False

    def world_size(self) -> int:
        """All ranks."""
        return world_size()

    def set_world_size(self, size: int) -> None:
        """It is as it is."""

    def global_rank(self) -> int:
        """Of this process."""
        return rank()

    def set_global_rank(self, rank: int) -> None:
        """It is as it is."""

    def local_rank(self) -> int:
        """The only one of its machine, as far as Lightning knows."""
        return 0

    def node_rank(self) -> int:
        """See the class."""
        return rank()


def loader_workers(hardware: Hardware) -> int:
    """Loader processes: as asked; beside a GPU a core each, as far as this process and its neighbours have any.

    On the CPU none by default, since they take the model's cores: its own threads read (`stages.loading.in_threads`).
    """
    if hardware.workers:
        return hardware.workers
    on_gpu = torch.cuda.is_available() and hardware.device != "cpu"
    return min(8, max(0, cores() // hardware.devices - 1)) if on_gpu else 0
