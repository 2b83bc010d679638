"""`--batch-size auto`: in how few pieces a step fits into memory, found before the first step.

The batch stays what the configuration says: the gradients of the pieces are added (see `stages.train.share`), so the
training is the same one within floating-point order, unless the network normalises by statistics of its batch. Then
it would be another training, and is refused by name instead.
"""

import copy
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from data.errors import ChainError, ExitCode
from data.pixels.network_input import NetworkInput
from stages.networks.input_size import feed_at
from stages.process.distributed import stop_agreed
from stages.process.memory import free_memory, ran_out
from stages.process.progress import LOG
from stages.train.phases import Phase

SPARE = 0.85  # of what is free: loaders, validation and fragments take the rest
MOMENTS = 2  # of AdamW

Fits = Callable[[torch.nn.Module, tuple[int, ...]], bool]


def pieces_that_fit(
    network: torch.nn.Module, phases: list[Phase], kind: NetworkInput, world: int, flags: dict[str, Any], name: str
) -> int:
    """Pieces a process takes each step in: 1 where it fits whole, else doubled until it does.

    flags: of `stages.process.device.prepare`. All ranks try the same sizes and agree. Raises ChainError (71) when not
    even one patch fits, or when pieces would be another training.
    """
    fits = _on_cuda(flags["precision"]) if flags["accelerator"] == "gpu" else fits_on_host
    most, pieces = max(sum(phase.counts) for phase in phases), 1
    while not all(_agreed(fits, network, phase, kind, world * pieces) for phase in phases):
        if world * pieces >= most:
            raise ChainError(
                f"{name}: not even steps of one patch fit into memory",
                free_memory(),
                "choose a smaller backbone or smaller patches",
                ExitCode.OUT_OF_MEMORY,
            )
        pieces = min(2 * pieces, -(-most // world))
    if pieces > 1:
        _refuse_batch_statistics(network, -(-most // (world * pieces)), most, pieces, name)
    LOG.info(
        f"{name}: steps of {most:,} patches" + (f" in {pieces} pieces" if pieces > 1 else " fit into memory whole")
    )
    return pieces


def fits_on_host(network: torch.nn.Module, shape: tuple[int, ...]) -> bool:
    """By what two small passes keep for the backward pass: to try it out would be to be killed by the system."""
    few, some = (_kept_bytes(network, (count, *shape[1:])) for count in (2, 4))
    each = (some - few) / 2
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    # beside what is kept, a pass has an activation and its gradient in hand: half as much again has been ample
    return weights * (1 + MOMENTS) + 1.5 * (few + each * (shape[0] - 2)) < SPARE * _host_memory()


def _agreed(fits: Fits, network: torch.nn.Module, phase: Phase, kind: NetworkInput, parts: int) -> bool:
    probe = copy.deepcopy(network)
    feed_at(probe, phase.size_px)
    shape = (-(-sum(phase.counts) // parts), kind.channels, kind.size_px, kind.size_px)
    return not stop_agreed(not fits(probe.train(), shape))


def _kept_bytes(network: torch.nn.Module, shape: tuple[int, ...]) -> int:
    seen: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.random.fork_rng(devices=[]), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.zeros(shape)).sum()
    return sum(seen.values())


def _on_cuda(precision: str) -> Fits:
    def fits(network: torch.nn.Module, shape: tuple[int, ...]) -> bool:
        try:
            with torch.random.fork_rng():
                _one_step(network.cuda(), torch.zeros(shape, device="cuda"), precision)
            free, total = torch.cuda.mem_get_info()
            return torch.cuda.max_memory_allocated() < SPARE * (free + torch.cuda.memory_reserved()) and total > 0
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            return False
        finally:
            network.cpu()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    return fits


def _one_step(network: torch.nn.Module, image: torch.Tensor, precision: str) -> None:
    optimizer = torch.optim.AdamW(network.parameters())
    with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16-mixed"):
        loss = network(image).float().logsumexp(1).sum()
    loss.backward()
    optimizer.step()


def _host_memory() -> float:
    """Bytes that this process may still take: of the machine, of its control group, of its own limit."""
    about = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = [float(about["MemAvailable"].split()[0]) * 1024]
    for limit, used in (("memory.max", "memory.current"),):
        try:
            group = Path("/sys/fs/cgroup")
            free.append(float((group / limit).read_text()) - float((group / used).read_text()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    own = resource.getrlimit(resource.RLIMIT_AS)[0]
    if own != resource.RLIM_INFINITY:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        free.append(float(own - taken))
    return max(0.0, min(free))


def _refuse_batch_statistics(network: torch.nn.Module, largest: int, most: int, pieces: int, name: str) -> None:
    if not any(isinstance(part, torch.nn.modules.batchnorm._BatchNorm) for part in network.modules()):
        return
    raise ChainError(
        f"{name}: steps of {most:,} patches do not fit into memory; {largest:,} at a time do ({free_memory()})",
        "this backbone normalises by the statistics of its batch: taken in pieces it would be another training",
        f"set batch_size to {largest:,} or fewer in all, use more --devices, accept it by --accumulate {pieces}, "
        "or choose a backbone without batch norm",
        ExitCode.OUT_OF_MEMORY,
    )
