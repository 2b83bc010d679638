"""Weights, averaged weights and moments of the optimiser in slices, one a rank: for networks that do not fit on one.

torch's `fully_shard` (FSDP2; Zhao et al., VLDB 2023) under Lightning. A checkpoint holds whole tensors, as any other
does, so that a training can go on with another strategy or number of devices.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

UNIT = 4_000_000  # parameters that are brought together at a time, at least


class ShardedStrategy(DDPStrategy):
    """One process a device, as DDP starts and meets them; what they hold and exchange is otherwise."""

    def model_to_device(self) -> None:
        """Not as a whole: slice by slice, when it is sharded."""

    def configure_ddp(self) -> None:
        """Shard the network and its averaged twin instead of wrapping them."""
        training: Any = self.lightning_module
        mesh = init_device_mesh(self.root_device.type, (dist.get_world_size(),))
        for network in (training.network, training.ema.module):
            network.to(memory_format=torch.contiguous_format)  # only such weights can be cut
            for unit in units(network, UNIT):
                fully_shard(unit, mesh=mesh)
        training.ema.foreach = False  # slices and whole buffers are not averaged in one call
        training.to(self.root_device)

    def teardown(self) -> None:
        """As always, but slices stay on their device: there they are put together when the training has ended."""
        assert self.accelerator is not None
        self.precision_plugin.teardown()
        self.accelerator.teardown()
        self.checkpoint_io.teardown()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Whole tensors on the CPU; all ranks take part."""
        assert self.lightning_module is not None
        return {name: whole(value) for name, value in self.lightning_module.state_dict().items()}

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """See `lightning_module_state_dict`."""
        state: dict[str, Any] = tree_map(whole, super().optimizer_state(optimizer))
        return state

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Cut whole moments into slices."""
        super().load_optimizer_state_dict(checkpoint)
        for optimizer in self.optimizers:
            for parameter, state in optimizer.state.items():
                for name, value in state.items():
                    if isinstance(parameter, DTensor) and value.shape == parameter.shape:
                        mesh, placements = parameter.device_mesh, parameter.placements
                        state[name] = distribute_tensor(value.to(self.root_device), mesh, placements)


def units(network: torch.nn.Module, least: int) -> list[torch.nn.Module]:
    """What is brought together at a time: the smallest modules with `least` parameters, inner ones first, then all."""
    found: list[torch.nn.Module] = []

    def visit(module: torch.nn.Module) -> int:
        left = sum(p.numel() for p in module.parameters(recurse=False)) + sum(map(visit, module.children()))
        # a list of modules is never called, and it is the call that brings weights together
        if left < least or isinstance(module, torch.nn.ModuleList | torch.nn.ModuleDict):
            return left
        found.append(module)
        return 0

    visit(network)
    return [*found, network] if network not in found else found


def whole(value: Any) -> Any:
    """A sharded tensor put together, on the CPU; anything else as it is."""
    return value.full_tensor().detach().cpu() if isinstance(value, DTensor) else value


def is_sharded(network: torch.nn.Module) -> bool:
    """Whether its weights are slices."""
    return any(isinstance(parameter, DTensor) for parameter in network.parameters())
