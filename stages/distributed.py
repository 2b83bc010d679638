"""What the ranks of a stage agree on. One process alone is a world of one, and nothing here costs it anything.

torch's variables (RANK, WORLD_SIZE, LOCAL_RANK) are the only source of a rank's place; whoever starts ranks sets them.
"""

import os

import torch
import torch.distributed as dist


def rank() -> int:
    """This process's number, 0 the one that writes."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes work on this stage."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process writes what is written once."""
    return rank() == 0


def stop_agreed(flag: bool) -> bool:
    """Whether any rank wants to stop; all ranks ask at the same batch boundary and get the same answer."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return flag
    # gloo reduces on the CPU, NCCL only on its device
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else "cpu"
    asked = torch.tensor([int(flag)], dtype=torch.int32, device=device)
    dist.all_reduce(asked, op=dist.ReduceOp.MAX)
    return bool(asked.item())
