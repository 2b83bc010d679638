"""What the ranks of a stage agree on. One process alone is a world of one, and nothing here costs it anything.

torch's variables (RANK, WORLD_SIZE, LOCAL_RANK) are the only source of a rank's place; whoever starts ranks sets them.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist

MARGIN_S = 60.0  # a rank that hangs is named by its heartbeat before the others give up waiting for it
NEVER_S = 365 * 86400.0


def rank() -> int:
    """This process's number, 0 the one that writes."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes work on this stage."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """This process's number on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    """Whether this process writes what is written once."""
    return rank() == 0


@contextlib.contextmanager
def joined(backend: str, hang_timeout_s: float) -> Iterator[None]:
    """One process group around what the ranks do together. backend: gloo | nccl.

    hang_timeout_s: some time after it, a collective that somebody is missing from is an error (0: never); torch's own
    is up to 30 minutes.
    """
    if world_size() == 1:
        yield
        return
    patience_s = hang_timeout_s + MARGIN_S if hang_timeout_s else NEVER_S
    dist.init_process_group(backend, timeout=timedelta(seconds=patience_s))
    yield  # after an error nothing is taken down: that would wait for ranks which may not come
    dist.barrier()  # without it workers that leave early have been seen to abort the others
    dist.destroy_process_group()


def stop_agreed(flag: bool) -> bool:
    """Whether any rank wants to stop; all ranks ask at the same batch boundary and get the same answer."""
    if not _together():
        return flag
    asked = torch.tensor([int(flag)], dtype=torch.int32, device=_meeting_place())
    dist.all_reduce(asked, op=dist.ReduceOp.MAX)
    return bool(asked.item())


def first_says(number: int) -> int:
    """The number rank 0 came with: what is read from a shared disk may look different from another machine."""
    if not _together():
        return number
    said = torch.tensor([number], dtype=torch.int64, device=_meeting_place())
    dist.broadcast(said, src=0)
    return int(said.item())


def summed(values: torch.Tensor) -> torch.Tensor:
    """The sum over the ranks of tensors of one shape, on the CPU. Where all but one hold 0 it is exact."""
    if not _together():
        return values
    total = values.detach().to(_meeting_place(), copy=True)
    dist.all_reduce(total)
    return total.cpu()


def _together() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _meeting_place() -> torch.device:
    # gloo reduces on the CPU, NCCL only on its device
    cuda = dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
