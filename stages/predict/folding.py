"""Batch normalisation folded into the convolution before it: for scoring, the same function with less to compute.

With running statistics a normalisation is one factor and one shift a channel, which the convolution can apply by
itself. On a CPU some tenth more patches a second are scored (`benchmarks.compiled`). Scores differ by rounding.
"""

import copy
from collections import Counter

from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, Conv2dSame)
NORMS = (nn.BatchNorm2d, nn.BatchNorm3d, BatchNormAct2d)


def _is_plain(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """What derives from these may do more: some convolutions standardise their weights before they use them."""
    return type(module).forward in [kind.forward for kind in kinds] and "weight" in module._parameters


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, CONVOLUTIONS + NORMS) or super().is_leaf_module(m, module_qualified_name)


def folded(network: nn.Module) -> nn.Module:
    """A copy of a network in eval mode without the normalisations that can be folded; itself where none can.

    One can where it has running statistics, nothing else reads what its convolution gives, and neither is used twice.
    Not for a network that is read on the way (`stages.predict.style`): there something may have moved.
    """
    pairs = _pairs(network)
    if not pairs:
        return network
    network = copy.deepcopy(network)
    for before, after in pairs:
        convolution, norm = network.get_submodule(before), network.get_submodule(after)
        assert isinstance(convolution, nn.Conv2d | nn.Conv3d)
        assert isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d)
        network.set_submodule(before, fuse_conv_bn_eval(convolution, norm))
        rest = nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
        network.set_submodule(after, rest.eval())
    return network


def _pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Names of a convolution and of the normalisation after it."""
    try:
        graph = _Tracer().trace(network)
    except Exception:  # noqa: BLE001  a forward that branches on what it is given says so in any way it likes
        return []
    modules = dict(network.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    found = []
    for node in graph.nodes:
        if node.op != "call_module" or not _is_plain(modules[node.target], NORMS):
            continue
        before = node.args[0]
        if (
            isinstance(before, fx.Node)
            and before.op == "call_module"
            and _is_plain(modules[before.target], CONVOLUTIONS)
            and len(before.users) == 1
            and calls[before.target] == calls[node.target] == 1
            and modules[node.target].running_mean is not None
        ):
            found.append((str(before.target), str(node.target)))
    return found
